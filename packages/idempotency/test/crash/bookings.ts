import type { DatabaseLike } from '@keelson/kernel/postgres'
import { migrate } from '@keelson/kernel/postgres'
import { createIdempotency, reply, unwrap } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import type { CrashWrites, Counts } from '../../../../tools/crash/scenario.ts'

/** One write: a business row, an effect's row in an outbox and the stored answer. */
export async function openBookings(db: DatabaseLike & { query: any }, schema: string): Promise<CrashWrites> {
  const store = postgresStore(db, { schema })
  await migrate(db, [store, bookingTables(schema)])
  const idempotency = createIdempotency({ store, storeTimeout: '60s' })
  return {
    async write(key) {
      const call = { scope: 'm1', op: `book ${key}`, key, input: { key } }
      const outcome = await idempotency.transaction(call, async (tx) => {
        const { rows } = await tx.query(`insert into ${schema}.booking(key) values ($1) returning id`, [key])
        const effect = {
          kind: 'test.outbox',
          statements: () => [{ text: `insert into ${schema}.outbox(key) values ($1)`, values: [key] }],
        }
        return reply(201, { id: Number((rows[0] as { id: unknown }).id) }, [effect])
      })
      return Buffer.from(unwrap(outcome).body).toString()
    },
    async read(keys) {
      const { rows } = await db.query(
        `select key,
  (select count(*)::int from ${schema}.booking b where b.key = k.key) as bookings,
  (select count(*)::int from ${schema}.outbox o where o.key = k.key) as effects,
  (select count(*)::int from ${schema}.idempotency i where i.op = 'book ' || k.key) as answers
from unnest($1::text[]) as k(key)`,
        [keys],
      )
      return new Map<string, Counts>(rows.map(({ key, ...counts }: { key: string }) => [key, counts]))
    },
    async check() {
      const { rows } = await db.query(`select (select count(*)::int from ${schema}.booking) as bookings,
  (select count(*)::int from ${schema}.outbox) as effects,
  (select count(*)::int from ${schema}.idempotency where state = 'done') as answers,
  (select count(*)::int from ${schema}.idempotency where state <> 'done') as unfinished`)
      const { bookings, effects, answers, unfinished } = rows[0]
      return effects === bookings && answers === bookings && unfinished === 0 ? undefined : JSON.stringify(rows[0])
    },
  }
}

const bookingTables = (schema: string) => ({
  schema,
  migrations: [
    {
      package: 'test',
      id: '0001_bookings',
      statements: [
        'create table {schema}.booking (id serial primary key, key text not null)',
        'create table {schema}.outbox (id serial primary key, key text not null)',
        'create index on {schema}.booking (key)',
        'create index on {schema}.outbox (key)',
        'create index on {schema}.idempotency (op)',
      ],
    },
  ],
})
