import { Cluster, Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import { createClient, createCluster } from 'redis'
import { afterAll, inject } from 'vitest'
import type { IoredisLike, NodeRedisLike } from '../../packages/kernel/src/redis/index.ts'
import { startRedisCluster, type RedisCluster } from './redis-cluster.ts'

/** A client of a test server. */
export interface OpenRedis extends AsyncDisposable {
  readonly client: IoredisLike | NodeRedisLike
}

/** The clients that stores on Redis are made for, on the shared server and on a cluster. */
export const redisClients = {
  'ioredis 6': async () => {
    const client = new Redis(inject('redisUrl'))
    return opened(client, () => client.disconnect())
  },
  'ioredis 5': async () => {
    const client = new Redis5(inject('redisUrl'))
    return opened(client, () => client.disconnect())
  },
  'node-redis': async () => {
    const client = await createClient({ url: inject('redisUrl') }).connect()
    return opened(client, () => client.destroy())
  },
  'Cluster, ioredis': async () => {
    const client = new Cluster([...(await sharedCluster()).nodes])
    return opened(client, () => client.disconnect())
  },
  'Cluster, node-redis': async () => {
    const { nodes } = await sharedCluster()
    const client = await createCluster({ rootNodes: nodes.map((socket) => ({ socket })) }).connect()
    return opened(client, () => client.destroy())
  },
} satisfies Record<string, () => Promise<OpenRedis>>

function opened(client: OpenRedis['client'], disconnect: () => void): OpenRedis {
  return { client, [Symbol.asyncDispose]: async () => disconnect() }
}

/** One for all tests of a file. */
let cluster: Promise<RedisCluster> | undefined
function sharedCluster(): Promise<RedisCluster> {
  return (cluster ??= startRedisCluster())
}
afterAll(async () => (await cluster)?.stop())
