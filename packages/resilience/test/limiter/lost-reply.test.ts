import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { migrate } from '@keelson/kernel/postgres'
import { startFaultProxy, type FaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { until } from '../../../../tools/servers/until.ts'
import { createLimiter, type LimiterStore } from '../../src/limiter/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { redisStore } from '../../src/redis/index.ts'
import { patientPool } from './patient-pool.ts'

const LIMIT = 100
const alice = { scope: 's', key: 'alice' }
const some = (): string => `lost_${randomBytes(6).toString('hex')}`

/** Takes of which one loses its reply, one is slow, and one meets a connection that nobody answers any more. */
async function takesOverABadLine(proxy: FaultProxy, store: LimiterStore, takeBytes: RegExp): Promise<void> {
  const quotas = { name: 'q', limit: LIMIT, per: '1h' } as const
  await using limiter = createLimiter({ name: 'lost', quotas, store, storeTimeout: '5s', onStoreFailure: 'deny' })
  const up = (): Promise<true> =>
    until('the store is back', 60_000, async () => ((await limiter.inspect()).store === 'up' ? true : undefined))
  const left = async (): Promise<number> => {
    await up()
    return until('a peek at the store', 60_000, async () => {
      const { source, quotas } = await limiter.peek(alice)
      return source === 'store' ? quotas[0]!.remaining : undefined
    })
  }
  let told = 0
  const take = async (): Promise<void> => {
    if ((await limiter.take(alice)).allowed) told++
  }

  await take()
  await until('the first is counted', 60_000, async () => (LIMIT - (await left()) === told ? true : undefined))

  const lost = proxy.loseReplyAfter((bytes) => takeBytes.test(bytes.toString('latin1')))
  await take()
  expect(await lost).toBe(true)
  // Counted, and nobody heard of it; a client that sends it again is told, and then it is taken back or its caller's.
  await until('one count too many at most', 60_000, async () => {
    const counted = LIMIT - (await left())
    return counted === told || counted === told + 1 ? true : undefined
  })
  const tooMany = LIMIT - (await left()) - told

  // There and back it is more than `storeTimeout`.
  proxy.delay(3_600)
  await take()
  proxy.pass()
  await until('what came too late was taken back', 60_000, async () =>
    LIMIT - (await left()) - told === tooMany ? true : undefined,
  )

  await up()
  await take()
  await until('the last one is counted once', 60_000, async () =>
    LIMIT - (await left()) - told === tooMany ? true : undefined,
  )
  proxy.halfOpen()
  await take()
  proxy.resetAll()
  const counted = LIMIT - (await left())
  expect(counted).toBeGreaterThanOrEqual(told)
  expect(counted).toBeLessThanOrEqual(told + tooMany + 1)
}

test('Redis: a reply that is lost is one count too many, never too few', async () => {
  const { hostname: host, port } = new URL(inject('redisUrl'))
  await using proxy = await startFaultProxy({ host, port: Number(port) })
  const client = new Redis(proxy.port, proxy.host)
  client.on('error', () => {})
  try {
    await takesOverABadLine(proxy, redisStore(client, { prefix: some() }), /evalsha/i)
  } finally {
    client.disconnect()
  }
})

test('Postgres: a reply that is lost is one count too many, never too few', async () => {
  const url = new URL(inject('databaseUrl'))
  await using proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) })
  const direct = new pg.Pool({ connectionString: inject('databaseUrl'), max: 1 })
  url.hostname = proxy.host
  url.port = String(proxy.port)
  const pool = patientPool({ connectionString: url.href, max: 3, connectionTimeoutMillis: 10_000 })
  const schema = some()
  try {
    const store = postgresStore(pool, { schema })
    await migrate(direct, [store])
    await takesOverABadLine(proxy, store, /"algorithm":"log"/)
  } finally {
    await pool.end()
    await direct.query(`drop schema if exists ${schema} cascade`)
    await direct.end()
  }
})
