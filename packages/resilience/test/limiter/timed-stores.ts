import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { Redis } from 'ioredis'
import pg from 'pg'
import { inject } from 'vitest'
import type { Clock } from '@keelson/kernel'
import { database, migrate, type DatabaseLike, type KnownDatabase } from '@keelson/kernel/postgres'
import { defineScript, redisPort, type RedisPort } from '@keelson/kernel/redis'
import { memoryStore, type LimiterStore } from '../../src/limiter/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { redisStore } from '../../src/redis/index.ts'

/** A real store whose time is a test's. */
export interface TimedStore extends AsyncDisposable {
  readonly store: LimiterStore
}

/** One clock for windows and calendars, as a server has it. `us` are whole microseconds since 1970. */
export function serverClock(startMs: number): Clock & { us: number } {
  const clock = {
    us: startMs * 1_000,
    now: () => clock.us / 1_000,
    monotonic: () => clock.us / 1_000,
    timer: () => ({ cancel() {} }),
    sleep: async () => {},
  }
  return clock
}

/** Each store, by that clock. */
export const timedStores: Record<string, (clock: Clock & { us: number }) => Promise<TimedStore>> = {
  memory: async (clock) => ({ store: memoryStore({ clock }), async [Symbol.asyncDispose]() {} }),
  Redis: async (clock) => {
    const client = new Redis(inject('redisUrl'))
    const store = redisStore(atTime(redisPort(client), clock), { prefix: `timed_${randomBytes(6).toString('hex')}` })
    return { store, [Symbol.asyncDispose]: async () => client.disconnect() }
  },
  Postgres: async (clock) => {
    const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 1 })
    const schema = `timed_${randomBytes(6).toString('hex')}`
    return overPostgres(pool, schema, clock, async () => {
      await pool.query(`drop schema ${schema} cascade`)
      await pool.end()
    })
  },
  PGlite: async (clock) => {
    const db = new PGlite()
    return overPostgres(db, 'keelson', clock, () => db.close())
  },
}

/** The time of `rate_now` is a setting of the one connection. */
async function overPostgres(
  db: DatabaseLike,
  schema: string,
  clock: { us: number },
  close: () => Promise<void>,
): Promise<TimedStore> {
  const known = database(db)
  const timed: KnownDatabase = {
    kind: 'custom',
    transaction: (work) => known.transaction(work),
    async query(...args) {
      await known.query("select set_config('test.now_us', $1, false)", [String(clock.us)])
      return known.query(...args)
    },
  }
  const store = postgresStore(timed, { schema })
  await migrate(db, [store])
  await known.query(`create or replace function ${schema}.rate_now() returns bigint language sql volatile
    as $$ select current_setting('test.now_us')::bigint $$`)
  return { store, [Symbol.asyncDispose]: close }
}

/** The same scripts, told the time; nothing expires by the server's own. */
function atTime(port: RedisPort, clock: { us: number }): RedisPort {
  return {
    ...port,
    script(script, keys, args) {
      const lua = script.lua
        .replace("call('TIME')", '{ARGV[#ARGV - 1], ARGV[#ARGV]}')
        .replace('text(ceil(us / 1000) + 1)', '100000000')
      const time = [Math.floor(clock.us / 1e6), clock.us % 1e6]
      return port.script(defineScript(lua), keys, [...args, ...time])
    },
  }
}
