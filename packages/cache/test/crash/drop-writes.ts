import pg from 'pg'
import { createCache, keyOf, type Cache, type Caches, type CacheStore } from '@keelson/cache'
import { postgresLog, postgresStore } from '@keelson/cache/postgres'
import { createIdempotency, reply, unwrap } from '@keelson/idempotency'
import { postgresStore as idempotencyStore } from '@keelson/idempotency/postgres'
import { migrate } from '@keelson/kernel/postgres'
import { until } from '../../../../tools/servers/until.ts'
import type { Counts, CrashPlace, CrashWrites } from '../../../../tools/crash/scenario.ts'

/** Longer than anything takes: what is stale for so long stays it. */
const STALE_MS = 60_000
/** Longer than all tests of a process: nobody but a retry pays for the dead. */
const NEVER = '1m'

/** When other nodes are right about a write whose process died: with its commit, by a relay, or once it is retried. */
export type Agree = 'at once' | 'in time' | 'once retried'

/**
 * A write: one business row, and the drop of what a cache said of it before. Two nodes in each process: what the one has
 * acknowledged, the other must not serve. `openStore` is called for each of them; undefined: entries in the database.
 */
export async function openDropWrites(
  { databaseUrl, space }: CrashPlace,
  agree: Agree,
  openStore?: () => CacheStore,
): Promise<CrashWrites> {
  const db = new pg.Pool({ connectionString: databaseUrl, max: 12 })
  db.on('error', () => {})
  const schema = space
  const answers = idempotencyStore(db, { schema })
  await migrate(db, [answers, postgresStore(db, { schema }), bookings(schema)])
  const node = (): Caches => {
    const fixed = { name: 'crash', lease: '300ms', storeTimeout: '60s', jitter: 0, early: 0 } as const
    if (openStore === undefined) return createCache({ ...fixed, store: postgresStore(db, { schema }) })
    const log = postgresLog(db, { schema, ...(agree === 'in time' ? {} : { relayAfter: NEVER }) })
    return createCache({ ...fixed, store: openStore(), log })
  }
  const [writer, peer] = [node(), node()]
  await Promise.all([writer.start(), peer.start()])
  const idempotency = createIdempotency({ store: answers, storeTimeout: '60s', replayGuards: [writer.replayGuard] })

  async function rowsOf(key: string): Promise<number> {
    const { rows } = await db.query(`select count(*)::int as n from ${schema}.booking where key = $1`, [key])
    return rows[0].n
  }
  const read = (caches: Caches, key: string): Promise<number> => scopeOf(caches).getOrSet(key, () => rowsOf(key))

  return {
    async write(key) {
      await Promise.all([read(writer, key), read(peer, key)])
      const call = { scope: 'm1', op: 'book', key, input: { key } }
      const outcome = await idempotency.transaction(call, async (tx) => {
        await tx.query(`insert into ${schema}.booking(key) values ($1)`, [key])
        return reply(201, { key }, [scopeOf(writer).drop(keyOf(key))])
      })
      const told = Buffer.from(unwrap(outcome).body).toString()
      const seen = await Promise.all([read(writer, key), read(peer, key)])
      if (seen.some((rows) => rows !== 1)) throw new Error(`told, but its reader sees ${seen.join(' and ')} rows`)
      return told
    },

    async read(keys) {
      const counts = async (key: string): Promise<[string, Counts]> => {
        const bookings = await rowsOf(key)
        if (agree === 'once retried') return [key, { bookings }]
        const agrees = async (): Promise<true | undefined> => ((await read(peer, key)) === bookings ? true : undefined)
        if (agree === 'in time') await until('the cache agrees', STALE_MS, agrees).catch(() => {})
        return [key, { bookings, cached: await read(peer, key) }]
      }
      return new Map(await Promise.all(keys.map(counts)))
    },

    async check() {
      if (agree === 'once retried') return undefined
      const log = async (): Promise<number> => (await writer.inspect()).log?.rows ?? 0
      const isPaid = until('all drops are paid', STALE_MS, async () => ((await log()) === 0 ? true : undefined))
      return isPaid.then(
        () => undefined,
        async () => `${await log()} drops were never paid`,
      )
    },
  }
}

function scopeOf(caches: Caches): Cache {
  return caches.scope('m1')
}

const bookings = (schema: string) => ({
  schema,
  migrations: [
    {
      package: 'test',
      id: '0001_bookings',
      statements: [
        'create table {schema}.booking (id serial primary key, key text not null)',
        'create index on {schema}.booking (key)',
      ],
    },
  ],
})
