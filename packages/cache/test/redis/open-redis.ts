import { randomBytes } from 'node:crypto'
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
import { afterAll, inject } from 'vitest'
import type { IoredisLike, NodeRedisLike } from '@keelson/kernel/redis'
import { startRedisCluster, type RedisCluster } from '../../../../tools/servers/redis-cluster.ts'

/** A client of a test server. */
export interface OpenRedis extends AsyncDisposable {
  readonly client: IoredisLike | NodeRedisLike
}

/** The clients that the store is made for. */
export const clients: Record<string, () => Promise<OpenRedis>> = {
  ioredis: async () => {
    const client = new Redis(inject('redisUrl'))
    return over(client, () => client.disconnect())
  },
  'node-redis': async () => {
    const client = await createClient({ url: inject('redisUrl') }).connect()
    return over(client, () => client.destroy())
  },
  'Cluster, ioredis': async () => {
    const client = new Cluster([...(await sharedCluster()).nodes])
    return over(client, () => client.disconnect())
  },
  'Cluster, node-redis': async () => {
    const { nodes } = await sharedCluster()
    const client = await createCluster({ rootNodes: nodes.map((socket) => ({ socket })) }).connect()
    return over(client, () => client.destroy())
  },
}

function over(client: IoredisLike | NodeRedisLike, disconnect: () => unknown): OpenRedis {
  return {
    client,
    [Symbol.asyncDispose]: async () => void (await disconnect()),
  }
}

export const somePrefix = (): string => `cache_${randomBytes(6).toString('hex')}`

/** One for all tests of a file. */
let cluster: Promise<RedisCluster> | undefined
function sharedCluster(): Promise<RedisCluster> {
  return (cluster ??= startRedisCluster())
}
afterAll(async () => (await cluster)?.stop())
