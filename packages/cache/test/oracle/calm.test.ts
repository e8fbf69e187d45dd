import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { startRedisCluster, type RedisCluster } from '../../../../tools/servers/redis-cluster.ts'
import { isFresh, isUseful, someName, threeProcesses, withDatabase } from './three-processes.ts'

const LIMIT_MS = 7_200_000
const redisUrls = [inject('redisUrl')]
const databaseUrl = inject('databaseUrl')

let cluster: RedisCluster
beforeAll(async () => {
  cluster = await startRedisCluster()
})
afterAll(() => cluster.stop())

test(
  'Redis',
  async () => {
    const report = await threeProcesses({ store: 'ioredis', name: someName(), redisUrls }, { reads: 50_000 })
    isFresh(report)
    isUseful(report)
    expect(report).toMatchObject({ refused: 0, errors: [] })
  },
  LIMIT_MS,
)

test(
  'Postgres',
  () =>
    withDatabase(databaseUrl, async (place) => {
      const report = await threeProcesses({ store: 'postgres', ...place }, { reads: 50_000 })
      isFresh(report)
      isUseful(report)
    }),
  LIMIT_MS,
)

test(
  'node-redis',
  async () => {
    const report = await threeProcesses({ store: 'node-redis', name: someName(), redisUrls })
    isFresh(report)
    isUseful(report)
  },
  LIMIT_MS,
)

test(
  'a Cluster',
  async () => {
    const urls = cluster.nodes.map(({ server }) => server.url)
    const report = await threeProcesses({ store: 'cluster', name: someName(), redisUrls: urls })
    isFresh(report)
    isUseful(report)
  },
  LIMIT_MS,
)

test(
  'Redis, and drops in transactions of a Postgres',
  () =>
    withDatabase(databaseUrl, async (place, o) => {
      const report = await threeProcesses({ store: 'ioredis', redisUrls, drops: true, ...place }, o)
      isFresh(report)
      isUseful(report)
    }),
  LIMIT_MS,
)

test(
  'Postgres, and drops in its transactions',
  () =>
    withDatabase(databaseUrl, async (place, o) => {
      const report = await threeProcesses({ store: 'postgres', drops: true, ...place }, o)
      isFresh(report)
      isUseful(report)
    }),
  LIMIT_MS,
)

test(
  'bounded: no read is older than one lease',
  async () => {
    const bounded = { options: { coherence: 'bounded' }, toleratedMs: 1_050 } as const
    const report = await threeProcesses({ store: 'ioredis', name: someName(), redisUrls }, bounded)
    isFresh(report)
    isUseful(report)
    await withDatabase(databaseUrl, async (place) => {
      const onPostgres = await threeProcesses({ store: 'postgres', ...place }, bounded)
      isFresh(onPostgres)
      isUseful(onPostgres)
    })
  },
  LIMIT_MS,
)

test(
  'a stamp that is taken after the load is seen',
  async () => {
    const env = (): Record<string, string> => ({ STAMPED_LATE: '1' })
    const report = await threeProcesses({ store: 'ioredis', name: someName(), redisUrls }, { env, keys: 5 })
    expect(report.stale).toBeGreaterThan(0)
  },
  LIMIT_MS,
)
