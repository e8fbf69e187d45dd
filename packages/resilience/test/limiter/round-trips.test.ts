import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { migrate } from '@keelson/kernel/postgres'
import { startFaultProxy, type FaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { createLimiter, type LimiterStore, type Quota } from '../../src/limiter/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { redisStore } from '../../src/redis/index.ts'

const quotas: readonly Quota[] = [
  { name: 'log', limit: 5, per: '10m' },
  { name: 'buckets', limit: 500, per: '10m' },
  { name: 'gcra', limit: 500, per: '10m', algorithm: 'gcra' },
  { name: 'fixed', limit: 500, per: '300d', algorithm: 'fixed' },
  { name: 'month', limit: 500, calendar: 'month' },
]
const alice = { scope: 's', key: 'alice' }
const some = (): string => `trips_${randomBytes(6).toString('hex')}`

async function countTrips(proxy: FaultProxy, store: LimiterStore): Promise<void> {
  const limiter = createLimiter({ name: 'trips', quotas, store, storeTimeout: '10s' })
  const trips = async (fn: () => Promise<unknown>): Promise<number> => {
    proxy.resetCount()
    await fn()
    return proxy.roundTrips
  }
  const decision = await limiter.take(alice)
  await limiter.refund(await limiter.take({ ...alice, key: 'bob' }))
  expect(await trips(() => limiter.take(alice)), 'a take').toBe(1)
  expect(await trips(() => limiter.peek(alice)), 'a peek').toBe(1)
  expect(await trips(() => limiter.refund(decision)), 'a refund').toBe(1)
  expect(await trips(() => limiter.take({ ...alice, cost: 4 })), 'the last that fits').toBe(1)
  expect(await trips(() => limiter.take(alice)), 'the first refusal').toBe(1)
  expect(await trips(() => Promise.all(Array.from({ length: 100 }, () => limiter.take(alice)))), 'others').toBe(0)
  expect((await limiter.take(alice)).source).toBe('memo')
  expect(await trips(() => limiter.reset(alice)), 'a reset').toBe(1)
}

test('Redis: one round trip a call, none for a refusal that holds; each key expires, and they share a slot', async () => {
  const { hostname: host, port } = new URL(inject('redisUrl'))
  await using proxy = await startFaultProxy({ host, port: Number(port) })
  const client = new Redis(proxy.port, proxy.host)
  const prefix = some()
  try {
    const store = redisStore(client, { prefix })
    await countTrips(proxy, store)
    const limiter = createLimiter({ name: 'keys', quotas, store, storeTimeout: '10s' })
    const before = await client.keys(`${prefix}:*`)
    await limiter.take({ ...alice, cost: 2 })
    const keys = (await client.keys(`${prefix}:*`)).filter((key) => !before.includes(key))
    expect(keys).toHaveLength(quotas.length)
    expect(new Set(keys.map((key) => /\{([\w-]{22})\}/.exec(key)?.[1])).size, 'one slot').toBe(1)
    for (const key of keys) {
      const ttlMs = await client.pttl(key)
      expect(ttlMs, key).toBeGreaterThan(0)
      expect(ttlMs, key).toBeLessThanOrEqual(key.includes(':f') || key.includes(':month') ? 300 * 86_400_000 : 611_000)
    }
    // Somebody empties the cache of scripts: nobody sees it.
    await client.script('FLUSH')
    expect((await limiter.take(alice)).source).toBe('store')
  } finally {
    client.disconnect()
  }
})

test('Postgres: one round trip a call, none for a refusal that holds; what has expired is swept', async () => {
  const url = new URL(inject('databaseUrl'))
  await using proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) })
  const direct = new pg.Pool({ connectionString: inject('databaseUrl'), max: 1 })
  url.hostname = proxy.host
  url.port = String(proxy.port)
  const pool = new pg.Pool({ connectionString: url.href, max: 1 })
  pool.on('error', () => {})
  const schema = some()
  try {
    const store = postgresStore(pool, { schema })
    await migrate(direct, [store])
    await countTrips(proxy, store)

    const limiter = createLimiter({ name: 'sweep', quotas, store, storeTimeout: '10s' })
    await limiter.take(alice)
    const rows = async (): Promise<string[]> => {
      const tables = ['rate_window', 'rate_calendar'].map((table) => `select quota from ${schema}.${table}`)
      const { rows } = await direct.query(`${tables.join(' union all ')} order by 1`)
      return rows.map(({ quota }: { quota: string }) => quota)
    }
    const before = await rows()
    expect(await limiter.runOnce()).toEqual({ done: true })
    expect(await rows()).toEqual(before)
    await direct.query(`update ${schema}.rate_window set expires_at = now() - interval '1 s' where quota like 'gcra%'`)
    expect(await limiter.runOnce()).toEqual({ done: true })
    expect(await rows()).toEqual(before.filter((quota) => !quota.startsWith('gcra')))
    expect((await limiter.take(alice)).quotas.find(({ name }) => name === 'gcra')!.remaining).toBe(499)
  } finally {
    await pool.end()
    await direct.query(`drop schema if exists ${schema} cascade`)
    await direct.end()
  }
})
