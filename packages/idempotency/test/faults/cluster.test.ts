import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { afterAll, beforeAll, expect, test } from 'vitest'
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
import { awakeMs } from '../../../../tools/awake-clock.ts'
import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import { startRedisCluster, type RedisCluster } from '../../../../tools/servers/redis-cluster.ts'
import { until } from '../../../../tools/servers/until.ts'
import type { RedisServer } from '../../../../tools/servers/redis.ts'
import { timed, type Timed } from './stand.ts'
import { watchRejections } from './unhandled.ts'

watchRejections()

let cluster: RedisCluster
beforeAll(async () => {
  // A slot without a master is no reason for the others to stop.
  cluster = await startRedisCluster({ settings: { 'cluster-require-full-coverage': 'no' } })
})
afterAll(() => cluster.stop())

const PREFIX = 'cluster-test'
/** Longer than a machine stands still: the keys of living nodes must not notice. */
const STORE_TIMEOUT_MS = 5_000
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
    Object.values(clients).map((open) => open({ storeTimeout: '30s', wait: '120s', lease: '10m' })),
  )
  let runs = 0
  const startMs = awakeMs()
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
  expect(awakeMs() - startMs).toBeLessThan(30_000)
  const sizes = await Promise.all(cluster.nodes.map(({ server }) => askRedis(server.url, 'DBSIZE')))
  for (const size of sizes) expect(size).toBeGreaterThan(20)
})

test('a killed node costs its own keys, in time, and none of the others in use; and all work when it is back', async () => {
  const instances = await Promise.all(Object.values(clients).map((open) => open({ storeTimeout: STORE_TIMEOUT_MS })))
  const dead = cluster.nodes[0]!.server
  const [lost, kept] = await callsOn(dead, instances[0]!)
  await dead.kill()
  const traffic = { over: false }
  const users = await Promise.all(
    instances.map(async (idempotency) => {
      const [living, failing]: Timed<Outcome<string>>[][] = [[], []]
      // Each failure meets somebody's success: the store as a whole is not down.
      const use = async (calls: Call[], into: Timed<Outcome<string>>[], everyMs: number): Promise<void> => {
        for (let i = 0; !traffic.over; i++) {
          into.push(await timed(idempotency.run(calls[i % calls.length]!, async () => 'again')))
          await sleep(everyMs)
        }
      }
      const using = Promise.all([use(kept, living!, 5), use(kept, living!, 5), use(lost, failing!, 50)])
      return { using, living: living!, failing: failing! }
    }),
  )
  await sleep(2_500) // the others find out after 1 s that it is gone
  await until('its own keys were refused twice by each', 60_000, async () => {
    return users.every(({ failing }) => failing.length > 1) || undefined
  })
  traffic.over = true
  for (const { using, living, failing } of users) {
    await using
    expect(new Set(living.map(({ value }) => told(value)))).toEqual(new Set(['before']))
    expect(new Set(failing.map(({ value }) => told(value)))).toEqual(new Set(['STORE_UNAVAILABLE']))
    expect(Math.max(...failing.map(({ tookMs }) => tookMs))).toBeLessThan(4 * STORE_TIMEOUT_MS)
  }

  await dead.restart()
  for (const idempotency of instances) {
    await until('the keys of the killed node run', 60_000, async () => {
      const outcomes = await Promise.all(lost.map((call) => idempotency.run(call, async () => 'again')))
      return outcomes.every(({ ok }) => ok) || undefined
    })
  }
})

const told = (outcome: Outcome<string>): string => (outcome.ok ? outcome.value : outcome.code)

/** Calls that have run: those whose record is on `node`, and the others. */
async function callsOn(node: RedisServer, idempotency: Idempotency): Promise<[on: Call[], elsewhere: Call[]]> {
  const count = async (): Promise<number> => Number(await askRedis(node.url, 'DBSIZE'))
  const [on, elsewhere]: [Call[], Call[]] = [[], []]
  let before = await count()
  for (let i = 0; i < 60; i++) {
    const call = someCall()
    await idempotency.run(call, async () => 'before')
    const after = await count()
    ;(after > before ? on : elsewhere).push(call)
    before = after
  }
  return [on, elsewhere]
}
