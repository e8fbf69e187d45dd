import { randomBytes, randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { createIdempotency, type Idempotency } from '@keelson/idempotency'
import { redisStore } from '@keelson/idempotency/redis'
import { context } from '@keelson/kernel'
import { startFaultProxy, type FaultProxy } from '../../../tools/faults/fault-proxy.ts'
import { startRedis } from '../../../tools/servers/redis.ts'
import { packMeta, unpackMeta } from '../src/redis/meta.ts'

let client: Redis
let counted: Redis
let proxy: FaultProxy
const instances: Idempotency[] = []
const prefix = `redis_store_${randomBytes(6).toString('hex')}`
beforeAll(async () => {
  const { hostname: host, port } = new URL(inject('redisUrl'))
  proxy = await startFaultProxy({ host, port: Number(port) })
  client = new Redis(inject('redisUrl'))
  counted = new Redis(proxy.port, proxy.host)
})
afterAll(async () => {
  for (const instance of instances) await instance.close()
  client.disconnect()
  counted.disconnect()
  await proxy.close()
})

function another(over: Redis = client): Idempotency {
  const made = createIdempotency({ store: redisStore(over, { prefix }), storeTimeout: '5s' })
  instances.push(made)
  return made
}
const someCall = () => ({ scope: 'm1', op: 'POST /charges', key: randomUUID() })

test('a first call takes two round trips, a replay and a refusal one', async () => {
  const idempotency = another(counted)
  await idempotency.run(someCall(), (x) => x.save('the scripts are known now'))
  const call = { ...someCall(), input: 1 }
  const trips = async (fn: () => Promise<unknown>): Promise<number> => {
    proxy.resetCount()
    await fn()
    return proxy.roundTrips
  }
  expect(await trips(() => idempotency.run(call, async () => 'first'))).toBe(2)
  expect(await trips(() => idempotency.run(call, async () => 'again'))).toBe(1)
  expect(await trips(() => idempotency.run({ ...call, input: 2 }, async () => 'other'))).toBe(1)
  expect(await trips(() => idempotency.run(someCall(), (x) => x.save('half', 1)))).toBe(3)
  expect(await trips(() => Promise.all(Array.from({ length: 100 }, () => idempotency.run(call, async () => 1))))).toBe(
    1,
  )
})

test('a record is one key, takes at most 150 bytes over its answer, and expires by its retention', async () => {
  const idempotency = another()
  const call = { ...someCall(), input: { amount: 1 }, retain: '1h' as const }
  const ids = { correlationId: randomUUID(), traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` }
  const before = await client.keys(`${prefix}:*`)
  await context.run(ids, () => idempotency.run(call, async () => 'x'.repeat(1_000)))
  const made = (await client.keys(`${prefix}:*`)).filter((key) => !before.includes(key))
  expect(made).toHaveLength(1)
  expect(await client.strlen(made[0]!)).toBeLessThanOrEqual(1_002 + 150)
  const ttlMs = await client.pttl(made[0]!)
  expect(ttlMs).toBeGreaterThan(3_500_000)
  expect(ttlMs).toBeLessThanOrEqual(3_600_000)
})

test('neither the text of a key nor who asked reaches the server', async () => {
  // A server that nobody else talks to: ioredis takes a line for an answer when one comes before that to MONITOR.
  await using server = await startRedis()
  const own = new Redis(server.url)
  const secret = `secret-${randomUUID()}`
  const monitor = await own.duplicate().monitor()
  const seen: string[] = []
  monitor.on('monitor', (_: unknown, args: string[]) => seen.push(args.join(' ')))
  await another(own).run({ scope: secret, op: 'x', key: secret, by: secret, subject: secret }, (x) => x.save('a', 1))
  await own.echo('the end')
  await expect.poll(() => seen.some((line) => line.includes('the end')), { timeout: 60_000 }).toBe(true)
  monitor.disconnect()
  own.disconnect()
  expect(seen.length).toBeGreaterThan(1)
  expect(seen.join('\n')).not.toContain(secret)
})

test('an owner in flight outlives its lease in the server, so its fence does too', async () => {
  const store = redisStore(client, { prefix })
  const ref = randomBytes(16)
  await store.begin(ref, { nonce: randomBytes(16), leaseMs: 100, retainMs: 60_000, onLapsed: 'take' })
  const ttlMs = await client.pttl(`${prefix}:${ref.toString('base64url')}`)
  expect(ttlMs).toBeGreaterThan(50_000)
})

test('a record of a version to come is refused, not read wrong', async () => {
  const store = redisStore(client, { prefix })
  const ref = randomBytes(16)
  const claim = { nonce: randomBytes(16), leaseMs: 100, retainMs: 60_000, onLapsed: 'take' as const }
  await store.begin(ref, claim)
  await client.setrange(`${prefix}:${ref.toString('base64url')}`, 0, '\u0002')
  await expect(store.begin(ref, claim)).rejects.toThrow(/record of version 2, known is 1/)
})

test('an evicting server is warned of at the start', async () => {
  const warnings: string[] = []
  const logger = {
    debug() {},
    info() {},
    error() {},
    warn: (_: object, message: string) => void warnings.push(message),
  }
  const before = await client.config('GET', 'maxmemory-policy')
  await client.config('SET', 'maxmemory-policy', 'allkeys-lru')
  try {
    const idempotency = createIdempotency({ store: redisStore(client, { prefix }), logger, storeTimeout: '5s' })
    await idempotency.start()
    await idempotency.stop()
    await idempotency.close()
  } finally {
    await client.config('SET', 'maxmemory-policy', before[1]!)
  }
  expect(warnings).toEqual(['Redis may evict idempotency records (maxmemory-policy allkeys-lru): use noeviction'])
})

test.each([
  ['nothing', {}],
  ['a traceparent', { traceparent: `00-${'0af7651916cd43dd'.repeat(2)}-b7ad6b7169203331-01` }],
  ['a UUID', { correlationId: '0198f0c2-1b2c-7d3e-8f4a-5b6c7d8e9fab' }],
  ['an id of the client', { correlationId: 'Req:0001.é' }],
  ['both', { correlationId: 'x'.repeat(1_024), traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-00` }],
])('a trace of %s comes back from its bytes', (_, trace) => {
  const meta = Buffer.from(packMeta(trace))
  expect(unpackMeta(meta) ?? {}).toEqual(trace)
})

test('what is no traceparent, or an id that is too long, is left out of the bytes', () => {
  expect(packMeta({ traceparent: 'nonsense', correlationId: 'x'.repeat(1_025) })).toHaveLength(0)
})
