/** Real servers that stand still (SIGSTOP): connections stay open, new ones are accepted, nobody answers. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import pg from 'pg'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { database } from '@keelson/kernel/postgres'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import type { PrivateServer } from '../../../../tools/servers/private-server.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { until } from '../../../../tools/servers/until.ts'
import { checks, createHealth, type Check, type Health } from '../../src/health/index.ts'

const opened = new AsyncDisposableStack()
let postgres: PrivateServer
let redis: PrivateServer
beforeAll(async () => {
  ;[postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  opened.use(postgres)
  opened.use(redis)
})
afterAll(() => opened.disposeAsync())

const POOL_MAX = 4

function openPool(): pg.Pool {
  const pool = new pg.Pool({ connectionString: postgres.url, max: POOL_MAX })
  pool.on('error', () => {})
  opened.defer(() => pool.end())
  return pool
}

const kinds: Record<string, () => Promise<{ server: PrivateServer; check: Check }>> = {
  'a pg Pool': async () => ({ server: postgres, check: checks.database(openPool()) }),
  'a Database over a pg Pool': async () => ({ server: postgres, check: checks.database(database(openPool())) }),
  ioredis: async () => {
    const client = new Redis(redis.url)
    client.on('error', () => {})
    opened.defer(() => client.disconnect())
    return { server: redis, check: checks.redis(client) }
  },
  'node-redis': async () => {
    const client = createClient({ url: redis.url })
    client.on('error', () => {})
    await client.connect()
    opened.defer(() => client.destroy())
    return { server: redis, check: checks.redis(client) }
  },
}

function ready(add: (health: Health) => void): Health {
  const health = createHealth({ cache: 0 })
  add(health)
  health.started()
  return health
}

describe.each(Object.entries(kinds))('%s whose server stands still', (_, open) => {
  test('is not ready within the timeout where it is critical, degraded where it is not, and back by itself', async () => {
    const { server, check } = await open()
    const critical = ready((health) => health.add('store', { ...check, critical: true }))
    const optional = ready((health) => health.add('store', check))
    await until('it is ready', 60_000, async () => (await critical.readiness()).status === 'ok' || undefined)

    server.freeze()
    try {
      const [out, degraded] = await Promise.all([critical.readiness(), optional.readiness()])
      expect(out).toMatchObject({ ok: false, status: 'down', reason: 'failed: store' })
      expect(degraded).toMatchObject({ ok: true, status: 'degraded', reason: 'failed: store' })
      for (const { error, ms } of [out.checks['store']!, degraded.checks['store']!]) {
        expect(error).toBe('no answer within 800 ms')
        // The timer ended it, not the server. How late a timer is tells of this machine only.
        expect(ms).toBeGreaterThanOrEqual(799)
      }
      expect(await critical.liveness()).toMatchObject({ ok: true })
    } finally {
      server.thaw()
    }
    for (const health of [critical, optional])
      await until('it is ready again', 60_000, async () => (await health.readiness()).status === 'ok' || undefined)
  })
})

test('probes of a Postgres that stands still keep no connection of a pool', async () => {
  const pool = openPool()
  const health = ready((health) => health.add('db', { ...checks.database(pool), critical: true, timeout: 20 }))
  // As many idle connections as there can be, and one in use.
  const clients = await Promise.all(Array.from({ length: POOL_MAX }, () => pool.connect()))
  for (const client of clients.slice(1)) client.release()
  let asked = 0
  postgres.freeze()
  try {
    for (; asked < 50; asked++) {
      expect((await health.readiness()).ok).toBe(false)
      await sleep(20)
    }
  } finally {
    postgres.thaw()
  }
  await until('it is ready again', 60_000, async () => (await health.readiness()).ok || undefined)
  clients[0]!.release()
  await until('no probe holds a connection', 60_000, async () => {
    const { totalCount, idleCount, waitingCount } = pool
    return (waitingCount === 0 && totalCount === idleCount && totalCount <= POOL_MAX) || undefined
  })
  // All of them can be had at once.
  const all = await Promise.all(Array.from({ length: POOL_MAX }, () => pool.connect()))
  const answers = await Promise.all(all.map((client) => client.query('select 1')))
  expect(answers).toHaveLength(POOL_MAX)
  for (const client of all) client.release()
})
