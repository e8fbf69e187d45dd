import pg from 'pg'
import type { Tx } from '@keelson/kernel'
import { migrate, transact } from '@keelson/kernel/postgres'
import { createWebhooks } from '@keelson/webhooks'
import { postgresStore } from '@keelson/webhooks/postgres'
import { flight } from '../../../../tools/crash/flight.ts'
import { wholeOnce, type Counts, type CrashScenario } from '../../../../tools/crash/scenario.ts'
import { accepted } from './accepted.ts'

// The order; the event and COMMIT.
flight(pg.Client.prototype, 'query')

const scope = 'shop'
const rolledBack = new Error('rolled back')

/** An order and its event in one transaction, which may be rolled back behind both; in the end all is delivered. */
const scenario: CrashScenario = {
  kinds: { commit: 3, rollback: 1 },

  async open({ databaseUrl, space }) {
    const db = new pg.Pool({ connectionString: databaseUrl, max: 12 })
    db.on('error', () => {})
    const store = postgresStore(db, { schema: space })
    await migrate(db, [store, ordersIn(space)])
    const webhooks = createWebhooks({ store, encryption: 'plaintext', storeTimeout: '60s' })
    // Whoever delivers at the end; the others only make its lanes known.
    webhooks.handle('ship', { types: ['*.made'] }, async ({ id }) => {
      await db.query(`insert into ${space}.shipped(key) values ($1)`, [id])
    })
    return {
      async write(key, kind) {
        const made = { scope, id: key }
        try {
          const order = async (tx: Tx) => {
            await tx.query(`insert into ${space}.orders(key) values ($1) on conflict do nothing`, [key])
            if (kind === 'commit') return { value: kind, effects: [webhooks.event('order.made', { key }, made)] }
            await webhooks.send('order.made', { key }, { ...made, tx })
            throw rolledBack
          }
          return await accepted(() => transact(db, order))
        } catch (error) {
          if (error !== rolledBack) throw error
          return kind
        }
      },
      async read(keys) {
        const { rows } = await db.query(
          `select key, (select count(*)::int from ${space}.orders o where o.key = k.key) as orders,
  (select count(*)::int from ${space}.webhook_event e where e.id = k.key) as events from unnest($1::text[]) as k(key)`,
          [keys],
        )
        return new Map<string, Counts>(rows.map(({ key, ...counts }: { key: string }) => [key, counts]))
      },
      async check() {
        const { done } = await accepted(() => webhooks.runOnce({ budget: '60s' }))
        const { rows } = await db.query(`select (select count(*)::int from ${space}.orders) as orders,
  (select count(*)::int from ${space}.shipped) as shipped,
  (select count(distinct o.key)::int from ${space}.orders o join ${space}.shipped s on s.key = o.key) as together`)
        const { orders, shipped, together } = rows[0]
        return done && orders === shipped && orders === together ? undefined : JSON.stringify({ done, ...rows[0] })
      },
    }
  },

  judge(write) {
    if (write.kind === 'commit') return wholeOnce(write)
    return Object.values(write.counts).every((count) => count === 0) ? undefined : 'rolled back, but there'
  },
}
export default scenario

const ordersIn = (schema: string) => ({
  schema,
  migrations: [
    {
      package: 'test',
      id: '0001_orders',
      statements: [
        'create table {schema}.orders (key text primary key)',
        'create table {schema}.shipped (key text not null)',
      ],
    },
  ],
})
