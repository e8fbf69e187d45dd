import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  createIdempotency,
  unwrap,
  type Call,
  type Idempotency,
  type IdempotencyOptions,
  type IdempotencyStore,
  type Outcome,
} from '@keelson/idempotency'
import { redisStore } from '@keelson/idempotency/redis'
import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import { startRedisCluster, type RedisCluster } from '../../../../tools/servers/redis-cluster.ts'
import { until } from '../../../../tools/servers/until.ts'
import { STORE_TIMEOUT_MS, timed, type Timed } from './stand.ts'
import { watchRejections } from './unhandled.ts'

watchRejections()

let cluster: RedisCluster
beforeAll(async () => {
  // A slot without a master is no reason for the others to stop.
  cluster = await startRedisCluster({ settings: { 'cluster-require-full-coverage': 'no' } })
})
afterAll(() => cluster.stop())

const PREFIX = 'cluster-test'
const opened = new AsyncDisposableStack()
afterAll(() => opened.disposeAsync())

function instance(store: IdempotencyStore, options: Partial<IdempotencyOptions>): Idempotency {
  const made: Idempotency = createIdempotency<IdempotencyStore>({ store, ...options })
  opened.defer(() => made.close())
  return made
}

const clients: Record<string, (o?: Partial<IdempotencyOptions>) => Promise<Idempotency>> = {
  ioredis: async (options = {}) => {
    const client = new Cluster([...cluster.nodes], { clusterRetryStrategy: () => 50 })
    client.on('error', () => {})
    await once(client, 'ready')
    opened.defer(() => client.disconnect())
    return instance(redisStore(client, { prefix: PREFIX }), options)
  },
  'node-redis': async (options = {}) => {
    const client = createCluster({ rootNodes: cluster.nodes.map((socket) => ({ socket })) })
    client.on('error', () => {})
    await client.connect()
    opened.defer(() => client.destroy())
    return instance(redisStore(client, { prefix: PREFIX }), options)
  },
}

const someCall = () => ({ scope: 'm1', op: 'POST /charges', key: randomUUID() })

test('200 keys, each with duplicates over two clients of two kinds, are 200 runs and equal answers', async () => {
  const instances = await Promise.all(
    Object.values(clients).map((open) => open({ storeTimeout: '5s', wait: '20s', lease: '1m' })),
  )
  let runs = 0
  const startMs = performance.now()
  await Promise.all(
    Array.from({ length: 200 }, async () => {
      const call = someCall()
      const work = async (): Promise<number> => {
        await sleep(20)
        return ++runs
      }
      const outcomes = await Promise.all([0, 1, 0, 1].map((which) => instances[which]!.run(call, work)))
      expect(new Set(outcomes.map(unwrap)).size).toBe(1)
      expect(outcomes.filter((outcome) => outcome.ok && outcome.kind === 'executed')).toHaveLength(1)
    }),
  )
  expect(runs).toBe(200)
  // By their message: a look without one comes after a quarter of the lease.
  expect(performance.now() - startMs).toBeLessThan(10_000)
  const sizes = await Promise.all(cluster.nodes.map(({ server }) => askRedis(server.url, 'DBSIZE')))
  for (const size of sizes) expect(size).toBeGreaterThan(20)
})

describe.each(Object.keys(clients))('%s: a killed node', (name) => {
  test('costs its own keys, in time, and none of the others that are in use; and all work again when it is back', async () => {
    const idempotency = await clients[name]!({ storeTimeout: 2 * STORE_TIMEOUT_MS })
    const [dead] = cluster.nodes
    const calls = Array.from({ length: 60 }, someCall)
    const answer = (call: Call): Promise<Timed<Outcome<string>>> => timed(idempotency.run(call, async () => 'again'))
    const before = Number(await askRedis(dead!.server.url, 'DBSIZE'))
    const lost: Call[] = []
    const kept: Call[] = []
    for (const call of calls) {
      await idempotency.run(call, async () => 'before')
      const size = Number(await askRedis(dead!.server.url, 'DBSIZE'))
      if (size > before + lost.length) lost.push(call)
      else kept.push(call)
    }
    await dead!.server.kill()

    const failing: Timed<Outcome<string>>[] = []
    const living: Timed<Outcome<string>>[] = []
    let over = false
    const use = async (some: Call[], into: Timed<Outcome<string>>[], everyMs: number): Promise<void> => {
      for (let i = 0; !over; i++) {
        into.push(await answer(some[i % some.length]!))
        await sleep(everyMs)
      }
    }
    const users = [use(kept, living, 5), use(kept, living, 5), use(lost, failing, 50)]
    await sleep(2_500) // the others find out after 1 s that it is gone
    over = true
    await Promise.all(users)
    const codes = (timed: Timed<Outcome<string>>[]) =>
      new Set(timed.map(({ value }) => (value.ok ? value.value : value.code)))
    expect([...codes(living)]).toEqual(['before'])
    expect([...codes(failing)]).toEqual(['STORE_UNAVAILABLE'])
    expect(Math.max(...failing.map(({ tookMs }) => tookMs))).toBeLessThan(8 * STORE_TIMEOUT_MS)
    console.log(
      `cluster, ${name}: ${lost.length} of ${calls.length} keys lost; ${living.length} and ${failing.length} calls`,
    )

    await dead!.server.restart()
    await until('a key of the node that was killed runs', 10_000, async () => {
      const outcomes = await Promise.all(lost.map(answer))
      return outcomes.every(({ value }) => value.ok) || undefined
    })
  })
})
