import { randomUUID } from 'node:crypto'
import { createCache, type Cache, type CacheOptions } from '@keelson/cache'
import { postgresLog, postgresStore } from '@keelson/cache/postgres'
import { redisStore } from '@keelson/cache/redis'
import { migrate, transact } from '@keelson/kernel/postgres'
import { Redis } from 'ioredis'
import type { Pool } from 'pg'
import type { Case, Contender } from '../../src/case.ts'
import { closedLoop } from '../../src/closed-loop.ts'
import { openPool } from '../../src/postgres-pool.ts'
import type { Services } from '../../src/services.ts'
import { tagsOf, valueOf } from './subjects.ts'

const CALLERS = 16
const KEYS = 1_000
const HOT = 'hot'
const WITHOUT = 'transact, without a drop'
const SELECT = 'select by key, prepared'
const withDrop = (store: string): string => `transact with drop(), ${store}`
const hit = (tags: number): string => `keelson, ${tags} tags`

/** The cache beside the business rows. */
export function onPostgres(services: Services): Case[] {
  const drops = [withDrop('Postgres store'), withDrop('Redis and log')]
  return [
    {
      name: `drop() of one hot tag in each transaction, ${CALLERS} connections`,
      note: 'the transaction updates one row and inserts one; with drop(): one more row, and on Redis the invalidation before the answer',
      base: WITHOUT,
      warmUpMs: 1_500,
      contenders: [
        transaction(services, WITHOUT, () => ({})),
        transaction(services, drops[0]!, (pool, schema) => ({ store: postgresStore(pool, { schema }) })),
        transaction(services, drops[1]!, (pool, schema, redis) => ({
          store: redisStore(redis, { prefix: schema }),
          log: postgresLog(pool, { schema }),
        })),
      ],
      targets: drops.map((of) => ({ of, figure: 'per s', over: WITHOUT, atLeast: 0.9 })),
    },
    {
      name: 'a hit on Postgres, one after the other',
      note: 'no memory of its own; the floor parses its JSON too',
      base: SELECT,
      runMs: 600,
      contenders: [hits(services, 0), hits(services, 5), select(services)],
    },
  ]
}

function transaction(
  services: Services,
  name: string,
  storeOf: (pool: Pool, schema: string, redis: Redis) => Partial<CacheOptions>,
): Contender {
  return {
    name,
    async open() {
      await using opened = new AsyncDisposableStack()
      const { pool, schema } = await inSchema(services, opened, CALLERS)
      const redis = opened.adopt(new Redis(await services.redisUrl()), (client) => client.disconnect())
      await pool.query('create table users (id int primary key, name text)')
      await pool.query('create table changes (id bigserial primary key, name text)')
      await pool.query(`insert into users select i, 'user' from generate_series(0, ${KEYS - 1}) i`)
      const o = storeOf(pool, schema, redis)
      let cache: Cache | undefined
      if (o.store !== undefined) {
        await migrate(pool, [(o.log ?? o.store) as ReturnType<typeof postgresStore>])
        const caches = opened.use(createCache({ name: 'bench', storeTimeout: '30s', ...o }))
        await caches.start()
        cache = caches.scope('bench')
      }
      let i = 0
      const write = (): Promise<unknown> =>
        transact(pool, async (tx) => {
          const id = i++ % KEYS
          await tx.query('update users set name = $2 where id = $1', [id, `user ${i}`])
          await tx.query('insert into changes (name) values ($1)', [`user ${i}`])
          return { value: undefined, effects: cache === undefined ? [] : [cache.drop(HOT)] }
        })
      const parts = opened.move()
      return { run: (forMs) => closedLoop(CALLERS, forMs, write), close: () => parts.disposeAsync() }
    },
  }
}

function hits(services: Services, tags: number): Contender {
  return {
    name: hit(tags),
    async open() {
      await using opened = new AsyncDisposableStack()
      const { pool, schema } = await inSchema(services, opened, 1)
      const store = postgresStore(pool, { schema })
      await migrate(pool, [store])
      const o = { name: 'bench', store, l1: false, early: 0, storeTimeout: '30s', ttl: '1h' } as const
      const cache = opened.use(createCache(o)).scope('bench')
      const options = (i: number) => ({ tags: tagsOf(i).slice(0, tags) })
      for (let i = 0; i < KEYS; i++) await cache.getOrSet(`user:${i}`, () => valueOf(i), options(i))
      let i = 0
      const parts = opened.move()
      return latency(parts, () => cache.getOrSet(`user:${i++ % KEYS}`, never, options(i)))
    },
  }
}

function select(services: Services): Contender {
  return {
    name: SELECT,
    async open() {
      await using opened = new AsyncDisposableStack()
      const { pool } = await inSchema(services, opened, 1)
      await pool.query('create unlogged table entries (key text primary key, body bytea)')
      for (let i = 0; i < KEYS; i++) {
        await pool.query('insert into entries values ($1, $2)', [`user:${i}`, Buffer.from(JSON.stringify(valueOf(i)))])
      }
      let i = 0
      const parts = opened.move()
      return latency(parts, async () => {
        const text = 'select body from entries where key = $1'
        const { rows } = await pool.query<{ body: Buffer }>({ name: 'get', text, values: [`user:${i++ % KEYS}`] })
        return JSON.parse(rows[0]!.body.toString()) as unknown
      })
    },
  }
}

function latency(parts: AsyncDisposableStack, call: () => Promise<unknown>) {
  return {
    async run(forMs: number) {
      const figures = await closedLoop(1, forMs, call)
      return { 'p50 us': figures['p50 ms']! * 1000, 'p99 us': figures['p99 ms']! * 1000 }
    },
    close: () => parts.disposeAsync(),
  }
}

async function inSchema(services: Services, opened: AsyncDisposableStack, max: number) {
  const schema = `${services.id}_${randomUUID().slice(0, 8)}`
  const { pool, close } = await openPool(await services.databaseUrl(), schema, max)
  opened.defer(close)
  return { pool, schema }
}

const never = (): never => {
  throw new Error('it was a miss')
}
