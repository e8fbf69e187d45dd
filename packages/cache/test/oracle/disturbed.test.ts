import { setTimeout as sleep } from 'node:timers/promises'
import { expect, inject, test } from 'vitest'
import { askPostgres } from '../../../../tools/servers/ask-postgres.ts'
import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import { startRedis, type RedisOptions, type RedisServer } from '../../../../tools/servers/redis.ts'
import { startRedisCluster } from '../../../../tools/servers/redis-cluster.ts'
import { findFaketime } from './faketime.ts'
import type { OraclePlace } from './oracle-place.ts'
import { isFresh, isUseful, someName, threeProcesses, withDatabase } from './three-processes.ts'

const LIMIT_MS = 7_200_000

async function onRedis(
  o: RedisOptions,
  work: (place: OraclePlace, server: RedisServer) => Promise<void>,
): Promise<void> {
  await using server = await startRedis(o)
  await work({ store: 'ioredis', name: someName(), redisUrls: [server.url] }, server)
}

test(
  'connections are killed, those of subscribers too',
  () =>
    onRedis({}, async (place, { url }) => {
      const report = await threeProcesses(place, {
        async during() {
          for (let i = 0; i < 10; i++) {
            await sleep(200)
            await askRedis(url, 'CLIENT', 'KILL', 'TYPE', i % 2 === 0 ? 'pubsub' : 'normal')
          }
        },
      })
      isFresh(report)
      isUseful(report)
    }),
  LIMIT_MS,
)

test(
  'connections to Postgres are killed',
  () =>
    withDatabase(inject('databaseUrl'), async ({ name, databaseUrl }) => {
      const named = new URL(databaseUrl)
      named.searchParams.set('application_name', name)
      const report = await threeProcesses(
        { store: 'postgres', name, databaseUrl: named.href },
        {
          async during() {
            for (let i = 0; i < 10; i++) {
              await sleep(200)
              await askPostgres(
                databaseUrl,
                `select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = '${name}'`,
              )
            }
          },
        },
      )
      isFresh(report)
    }),
  LIMIT_MS,
)

test(
  'a node stands still for seconds',
  () =>
    onRedis({}, async (place) => {
      const report = await threeProcesses(place, {
        async during(nodes) {
          for (const node of nodes) {
            await sleep(200)
            node.freeze()
            await sleep(3_000)
            node.thaw()
          }
        },
      })
      isFresh(report)
      isUseful(report)
    }),
  LIMIT_MS,
)

test(
  'the server evicts whatever it likes',
  () =>
    onRedis({ settings: { maxmemory: '4mb', 'maxmemory-policy': 'allkeys-lru' } }, async (place, { url }) => {
      const report = await threeProcesses(place, {
        async during() {
          // Somebody else fills it: everything of ours goes in turn.
          for (let i = 0; i < 40; i++) {
            await sleep(50)
            await askRedis(
              url,
              'EVAL',
              "for i = 1, 40 do redis.call('set', ARGV[1] .. i, string.rep('x', 50000)) end",
              0,
              i,
            )
          }
          expect(String(await askRedis(url, 'INFO', 'stats'))).toMatch(/evicted_keys:[1-9]/)
        },
      })
      isFresh(report)
      isUseful(report)
    }),
  LIMIT_MS,
)

test(
  'everything is flushed, and the server starts again without anything',
  () =>
    onRedis({}, async (place, server) => {
      const report = await threeProcesses(place, {
        async during() {
          for (let i = 0; i < 3; i++) {
            await sleep(300)
            await askRedis(server.url, 'FLUSHALL')
            await sleep(300)
            await server.kill()
            await server.restart()
          }
        },
      })
      isFresh(report)
      isUseful(report)
    }),
  LIMIT_MS,
)

test(
  'replicas take over for masters that die',
  async () => {
    await using cluster = await startRedisCluster({ replicasPerMaster: 1 })
    const place: OraclePlace = {
      store: 'cluster',
      name: someName(),
      redisUrls: cluster.nodes.map(({ server }) => server.url),
    }
    const report = await threeProcesses(place, {
      async during() {
        // One of them has the slot: each in turn, so that a majority stays.
        for (const { server } of cluster.nodes.slice(0, 3)) {
          await sleep(500)
          await server.kill()
          await sleep(4_000)
          await server.restart()
          await sleep(1_000)
        }
      },
    })
    isFresh(report)
    isUseful(report)
  },
  LIMIT_MS,
)

test(
  'the clock of one node is an hour ahead, that of another an hour behind',
  async () => {
    const library = await findFaketime()
    await onRedis({}, async (place) => {
      const report = await threeProcesses(place, {
        env: (node): Record<string, string> =>
          node === 0
            ? {}
            : { LD_PRELOAD: library, FAKETIME: node === 1 ? '+1h' : '-1h', FAKETIME_DONT_FAKE_MONOTONIC: '1' },
      })
      isFresh(report)
      isUseful(report)
    })
  },
  LIMIT_MS,
)
