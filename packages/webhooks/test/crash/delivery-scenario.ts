import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import pg from 'pg'
import { isKeelsonError } from '@keelson/kernel'
import { migrate } from '@keelson/kernel/postgres'
import { createWebhooks, type Delivery, type Webhooks, type WebhookStore } from '@keelson/webhooks'
import { postgresStore } from '@keelson/webhooks/postgres'
import { redisStore } from '@keelson/webhooks/redis'
import { flight } from '../../../../tools/crash/flight.ts'
import type { Counts, CrashPlace, CrashScenario } from '../../../../tools/crash/scenario.ts'
import { accepted } from './accepted.ts'

/**
 * Each write is the whole way of an event: published, routed, claimed, handled, settled. Its client is told when it is
 * delivered. Whoever finds it left behind takes it the rest of the way.
 */
export function deliveryOn(kind: 'redis' | 'postgres'): CrashScenario {
  // Also those of the handler.
  if (kind === 'redis') flight(Redis.prototype, 'sendCommand')
  else flight(pg.Client.prototype, 'query')

  return {
    async open(place) {
      const { store, handled, countOf } = await (kind === 'redis' ? openRedis(place) : openPostgres(place))
      const open = (): Webhooks => {
        const webhooks = createWebhooks({
          store,
          encryption: 'plaintext',
          storeTimeout: '60s',
          dispatcher: { leaseMargin: '500ms' },
        })
        const options = { types: ['*'], timeout: '1s', retry: { schedule: Array<string>(50).fill('100ms') } } as const
        webhooks.handle('note', options as never, async ({ id }) => handled(id))
        return webhooks
      }

      /** Its delivery when that has ended; null without an event. */
      async function bringHome(webhooks: Webhooks, key: string): Promise<Delivery | null> {
        for (;;) {
          await accepted(() => webhooks.runOnce())
          try {
            const { deliveries } = await accepted(() => webhooks.events.get({ scope: key, id: key }))
            if (deliveries[0]?.finishedAt) return deliveries[0]
          } catch (error) {
            if (isKeelsonError(error, 'NOT_FOUND')) return null
            throw error
          }
          await sleep(100)
        }
      }

      return {
        async write(key) {
          const webhooks = open()
          await accepted(() => webhooks.send('thing', { key }, { scope: key, id: key }))
          const delivery = await bringHome(webhooks, key)
          return `${delivery?.status}`
        },
        async read(keys) {
          const webhooks = open()
          const counts = new Map<string, Counts>()
          for (const key of keys) {
            const delivery = await bringHome(webhooks, key)
            const events = delivery === null ? 0 : 1
            const delivered = delivery?.status === 'succeeded' ? 1 : 0
            // At least once.
            counts.set(key, { events, delivered, handled: Math.min(1, await countOf(key)) })
          }
          return counts
        },
      }
    },
  }
}

interface Opened {
  readonly store: WebhookStore
  handled(id: string): Promise<void>
  countOf(id: string): Promise<number>
}

async function openRedis({ redisUrl, space }: CrashPlace): Promise<Opened> {
  const client = new Redis(redisUrl)
  const ledger = (id: string): string => `${space}:ledger:${id}`
  return {
    store: redisStore(client, { prefix: space }),
    handled: async (id) => void (await client.incr(ledger(id))),
    countOf: async (id) => Number(await client.get(ledger(id))),
  }
}

async function openPostgres({ databaseUrl, space }: CrashPlace): Promise<Opened> {
  const db = new pg.Pool({ connectionString: databaseUrl, max: 12 })
  db.on('error', () => {})
  const store = postgresStore(db, { schema: space })
  const statements = ['create table {schema}.ledger (id text not null)']
  await migrate(db, [store, { schema: space, migrations: [{ package: 'test', id: '0001_ledger', statements }] }])
  return {
    store,
    handled: async (id) => void (await db.query(`insert into ${space}.ledger(id) values ($1)`, [id])),
    async countOf(id) {
      const { rows } = await db.query(`select count(*)::int as n from ${space}.ledger where id = $1`, [id])
      return (rows[0] as { n: number }).n
    },
  }
}
