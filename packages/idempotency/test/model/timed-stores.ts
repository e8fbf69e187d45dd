import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { Redis } from 'ioredis'
import pg from 'pg'
import { createClient } from 'redis'
import { inject } from 'vitest'
import { memoryStore, type IdempotencyStore } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { redisStore } from '@keelson/idempotency/redis'
import { database, migrate, type DatabaseLike } from '@keelson/kernel/postgres'
import { defineScript, redisPort, type IoredisLike, type NodeRedisLike } from '@keelson/kernel/redis'
import { brokenDatabase, brokenRedis, virtualClock, type Fault } from '@keelson/kernel/testing'
import { recordLua } from '../../src/redis/record.lua.ts'

/** A store whose time a test can let pass, and whose next call it can break. */
export interface TimedStore extends AsyncDisposable {
  readonly store: IdempotencyStore
  /** Time passes for the records of `refs`: on a server, their instants move back. */
  pass(refs: readonly Uint8Array[], byMs: number): Promise<void>
  /** What becomes of the next call that writes; undefined where calls cannot be broken. */
  breakNext?(fault: Fault | undefined): void
}

/** Every store; a Cluster differs in nothing that a single record could notice. */
export const timedStores: Record<string, () => Promise<TimedStore>> = {
  memory: async () => {
    const clock = virtualClock()
    return {
      store: memoryStore({ clock }),
      pass: (_, byMs) => clock.advance(byMs),
      async [Symbol.asyncDispose]() {},
    }
  },
  'Redis, ioredis': async () => {
    const client = new Redis(inject('redisUrl'))
    return overRedis(client, async () => client.disconnect())
  },
  'Redis, node-redis': async () => {
    const client = await createClient({ url: inject('redisUrl') }).connect()
    return overRedis(client, async () => client.destroy())
  },
  Postgres: async () => {
    const pool = new pg.Pool({ connectionString: inject('databaseUrl') })
    const schema = `model_${randomBytes(6).toString('hex')}`
    return overPostgres(pool, { db: pool }, schema, async () => {
      await pool.query(`drop schema ${schema} cascade`)
      await pool.end()
    })
  },
  PGlite: async () => {
    const client = new PGlite()
    return overPostgres(client, breakable(client), 'keelson', () => client.close())
  },
}

function breakable(inner: DatabaseLike): { db: DatabaseLike; breakNext: TimedStore['breakNext'] } {
  let next: Fault | undefined
  return {
    // What is rolled back anyway is not broken: only COMMIT writes.
    db: brokenDatabase(inner, (_, text) => (text === 'COMMIT' ? next : undefined)),
    breakNext: (fault) => (next = fault),
  }
}

async function overPostgres(
  client: pg.Pool | PGlite,
  { db, breakNext }: { db: DatabaseLike; breakNext?: TimedStore['breakNext'] },
  schema: string,
  close: () => Promise<void>,
): Promise<TimedStore> {
  const store = postgresStore(db, { schema })
  await migrate(client, [store])
  return {
    store,
    async pass(refs, byMs) {
      const interval = `${byMs} * interval '1 ms'`
      const text = `update ${schema}.idempotency set lease_until = lease_until - ${interval},
        claimed_at = claimed_at - ${interval}, expires_at = expires_at - ${interval} where ref = any($1)`
      await database(client).query(text, [refs])
    },
    ...(breakNext === undefined ? {} : { breakNext }),
    [Symbol.asyncDispose]: close,
  }
}

/** KEYS record. ARGV ms. Moves the instants of a record, and what is left of its life. */
const passScript = defineScript(`${recordLua}
local r = get_record(KEYS[1])
if not r then return end
local by_ms = tonumber(ARGV[1])
local left_ms = redis.call('PTTL', KEYS[1]) - by_ms
if left_ms <= 0 then return redis.call('DEL', KEYS[1]) end
r.lease_end, r.began = math.max(0, r.lease_end - by_ms), r.began - by_ms
redis.call('SET', KEYS[1], pack_record(r), 'PX', left_ms)
`)

function overRedis(client: IoredisLike | NodeRedisLike, close: () => Promise<void>): TimedStore {
  let next: Fault | undefined
  const prefix = `model_${randomBytes(6).toString('hex')}`
  return {
    store: redisStore(
      brokenRedis(client, () => next),
      { prefix },
    ),
    async pass(refs, byMs) {
      const keys = refs.map((ref) => `${prefix}:${Buffer.from(ref).toString('base64url')}`)
      for (const key of keys) await redisPort(client).script(passScript, [key], [byMs])
    },
    breakNext: (fault) => (next = fault),
    [Symbol.asyncDispose]: close,
  }
}
