import { afterAll, describe, expect, inject, it, test } from 'vitest'
import { startRedisCluster } from '../../../../tools/servers/redis-cluster.ts'
import { brokenRedisPorts, redisSuite, register, scoreMutants, type Subject } from '../../src/conformance/index.ts'
import type { RedisSubject } from '../../src/conformance/index.ts'
import { clusters, families, type Opened } from '../redis/clients.ts'

const cluster = await startRedisCluster()
afterAll(() => cluster.stop())

const subject = (open: () => Promise<Opened>): Subject<RedisSubject> => ({
  async make() {
    const opened = await open()
    return { port: opened.port, dispose: async () => opened[Symbol.asyncDispose]() }
  },
})

for (const [name, open] of Object.entries(families)) {
  describe(name, () =>
    register(
      redisSuite,
      subject(() => open(inject('redisUrl'))),
      { describe, it },
    ),
  )
}
for (const [name, open] of Object.entries(clusters)) {
  describe(name, () =>
    register(
      redisSuite,
      subject(() => open(cluster.nodes)),
      { describe, it },
    ),
  )
}

test('every broken port is caught', async () => {
  const good = subject(() => families['ioredis 6']!(inject('redisUrl')))
  const { survivors, caught } = await scoreMutants(redisSuite, brokenRedisPorts(good), { timeout: '5s' })
  expect(survivors).toEqual([])
  expect(caught).toBeGreaterThan(30)
})
