import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  createIdempotency,
  type Guarantee,
  type Idempotency,
  type IdempotencyOptions,
  type IdempotencyStore,
} from '@keelson/idempotency'
import { redisStore, type RedisStoreOptions } from '@keelson/idempotency/redis'
import { startSentinelPair, type SentinelPair } from '../../../../tools/servers/redis-sentinel.ts'
import { until } from '../../../../tools/servers/until.ts'
import { gate } from './stand.ts'
import { watchRejections } from './unhandled.ts'

watchRejections()

let pair: SentinelPair
let other: SentinelPair
const opened = new AsyncDisposableStack()
beforeAll(async () => {
  ;[pair, other] = await Promise.all([startSentinelPair(), startSentinelPair()])
})
afterAll(async () => {
  await opened.disposeAsync()
  await Promise.all([pair.stop(), other.stop()])
})

interface Address {
  readonly host: string
  readonly port: number
}

/** An instance on whatever server the Sentinel names, or on the one at `address`. */
function open(
  { replicas = 1, ...options }: Partial<IdempotencyOptions> & RedisStoreOptions = {},
  address?: Address,
): Idempotency {
  const retryStrategy = (): number => 50
  const sentinels = { name: pair.name, sentinels: [...pair.sentinels], sentinelRetryStrategy: retryStrategy }
  const client = new Redis(
    address === undefined ? { ...sentinels, retryStrategy } : { host: address.host, port: address.port, retryStrategy },
  )
  client.on('error', () => {})
  opened.defer(() => client.disconnect())
  const idempotency: Idempotency = createIdempotency<IdempotencyStore>({
    store: redisStore(client, { replicas }),
    storeTimeout: '1s',
    ...options,
  })
  opened.defer(() => idempotency.close())
  return idempotency
}

const someCall = (guarantee: Guarantee = 'at-least-once') => ({
  scope: 'm1',
  op: 'POST /charges',
  key: randomUUID(),
  guarantee,
})

/** Until the replica counts again. */
const healed = (idempotency: Idempotency): Promise<unknown> =>
  until('the replica counts', 60_000, async () => (await idempotency.run(someCall(), async () => 1)).ok || undefined)

test('a claim that too few replicas have is refused, and its key is free when they are back', async () => {
  const idempotency = open()
  await healed(idempotency)
  const call = someCall('at-most-once')
  let runs = 0
  pair.replica.freeze()
  try {
    for (let i = 0; i < 3; i++) {
      expect(await idempotency.run(call, async () => ++runs)).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE' })
    }
    const bystander = open({ replicas: 0 })
    await until('the claim is given back', 60_000, async () => (await bystander.find(call)) === null || undefined)
  } finally {
    pair.replica.thaw()
  }
  const outcome = await until('the key works', 60_000, async () => {
    const tried = await idempotency.run({ ...call, wait: 0 }, async () => ++runs)
    return tried.ok ? tried : undefined
  })
  expect(outcome).toMatchObject({ kind: 'executed', stored: true, attempt: 1, value: 1 })
})

test('a takeover that too few replicas have leaves what the lost owner had saved', async () => {
  const idempotency = open()
  await healed(idempotency)
  const call = { ...someCall(), lease: '150ms' as const }
  const saved = gate()
  // Another one as often as it takes to be replicated in time; that one is never heard of again.
  await until('an owner has saved', 60_000, async () => {
    const run = open({ clock: stoppedClock() }).run(call, async (x) => {
      await x.save('charged')
      saved.open()
      await new Promise(() => {})
    })
    return Promise.race([saved.opened.then(() => true), run.then(() => undefined)])
  })
  await until('its lease is over', 60_000, async () => {
    const found = await idempotency.find(call)
    return (found !== null && found.leaseLeftMs === 0) || undefined
  })
  pair.replica.freeze()
  expect(await idempotency.run(call, async () => 'never')).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE' })
  pair.replica.thaw()
  const outcome = await until('the key works', 60_000, async () => {
    const tried = await idempotency.run(call, async (x) => [x.attempt > 1, x.checkpoint])
    return tried.ok ? tried : undefined
  })
  expect(outcome.value).toEqual([true, { name: 'charged' }])
})

test('an answer that too few replicas have is told as not stored, also to a duplicate, until they have it', async () => {
  const [owner, other] = [open(), open()]
  await Promise.all([healed(owner), healed(other)])
  const call = someCall()
  const [started, ending] = [gate(), gate()]
  const first = owner.run(call, async () => {
    started.open()
    await ending.opened
    return 'charged'
  })
  await started.opened
  const second = other.run({ ...call, wait: '30s' }, async () => 'second')
  pair.replica.freeze()
  try {
    ending.open()
    expect(await first).toMatchObject({ ok: true, kind: 'executed', stored: false, value: 'charged' })
    const outcome = await second
    if (outcome.ok) expect(outcome).toMatchObject({ kind: 'replayed', stored: false, value: 'charged' })
    else expect(outcome.code).toBe('STORE_UNAVAILABLE')
  } finally {
    pair.replica.thaw()
  }
  const outcome = await until('the answer is replicated', 60_000, async () => {
    const tried = await other.run(call, async () => 'third')
    return tried.ok && tried.stored ? tried : undefined
  })
  expect(outcome).toMatchObject({ kind: 'replayed', value: 'charged' })
})

test('a failover in a stream of runs loses no claim and no answer that somebody was told of', async () => {
  const instances = [open({ lease: '1s' }), open({ lease: '1s' })]
  await Promise.all(instances.map(healed))
  const runs = new Map<string, number>()
  const told = new Map<string, string>()
  const calls: ReturnType<typeof someCall>[] = []
  const stream = { over: false }
  let refused = 0

  async function client(idempotency: Idempotency, lane: number): Promise<void> {
    for (let n = 0; !stream.over; n++) {
      const call = someCall(n % 2 === 0 ? 'at-most-once' : 'at-least-once')
      calls.push(call)
      const work = async (): Promise<string> => {
        runs.set(call.key, (runs.get(call.key) ?? 0) + 1)
        await new Promise((resolve) => setTimeout(resolve, 1 + (lane % 5)))
        return `${call.key} by ${lane}`
      }
      // The other instance's duplicate gets the answer as soon as the server has it.
      const both = [idempotency, instances.find((each) => each !== idempotency)!]
      for (const outcome of await Promise.all(both.map((each) => each.run(call, work)))) {
        if (!outcome.ok) refused++
        else if (outcome.stored) told.set(call.key, outcome.value)
      }
      if (refused > 0) await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const lanes = Array.from({ length: 16 }, (_, lane) => client(instances[lane % 2]!, lane))
  await until('the stream flows', 60_000, async () => told.size > 100 || undefined)
  await pair.master.kill()
  const { host, port } = await pair.failedOver()
  stream.over = true
  await Promise.all(lanes)

  // The new master has no replica, so an instance that asks for one claims nothing.
  expect(await open({}, { host, port }).run(someCall(), async () => 1)).toMatchObject({ code: 'STORE_UNAVAILABLE' })
  const after = open({ replicas: 0 })
  const broken: string[] = []
  await Promise.all(
    calls.map(async (call) => {
      const outcome = await until('an answer', 60_000, async () => {
        const tried = await after.run({ ...call, wait: '5s' }, async () => {
          runs.set(call.key, (runs.get(call.key) ?? 0) + 1)
          return 'again'
        })
        return tried.ok || tried.code === 'OUTCOME_UNKNOWN' ? tried : undefined
      })
      const value = told.get(call.key)
      if (value !== undefined && !(outcome.ok && outcome.value === value)) {
        broken.push(`${call.key}: told ${JSON.stringify(value)}, then ${JSON.stringify(outcome)}`)
      }
      if (call.guarantee === 'at-most-once' && runs.get(call.key)! > 1) broken.push(`${call.key}: ran twice`)
    }),
  )
  console.log(`failover: ${calls.length} keys, ${told.size} told, ${refused} refused`)
  expect(broken).toEqual([])
  expect(refused).toBeGreaterThan(0)
})

test('a master that was voted out while it stood still can claim nothing when it goes on', async () => {
  const stale = open({}, other.master)
  await healed(stale)
  other.master.freeze()
  await other.failedOver()
  const call = someCall('at-most-once')
  let runs = 0
  const fresh = open({ replicas: 0, storeTimeout: '20s' }, other.replica)
  expect(await fresh.run(call, async () => ++runs)).toMatchObject({ ok: true, stored: true, value: 1 })
  other.master.thaw()
  for (let i = 0; i < 3; i++) {
    expect(await stale.run(call, async () => ++runs)).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE' })
  }
  expect(runs).toBe(1)
})

/** A clock whose timers never fire, as in a process that stands still. */
function stoppedClock() {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    timer: () => ({ cancel() {} }),
    sleep: () => new Promise<void>(() => {}),
  }
}
