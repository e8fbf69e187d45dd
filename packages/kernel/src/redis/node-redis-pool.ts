import type { RedisDriver } from './driver.ts'
import { nodeRedisListener } from './node-redis-listener.ts'
import { nodeRedisDriver, sendByNodeRedis, type NodeRedisClient, type NodeRedisLike } from './node-redis.ts'

/** What is used of a node-redis pool. */
interface Pool extends NodeRedisLike {
  execute<T>(work: (client: NodeRedisClient) => T): Promise<Awaited<T>>
}

/** What is used of a node-redis Sentinel client. */
interface Sentinel extends NodeRedisLike {
  _execute<T>(readOnly: false, work: (client: NodeRedisClient) => Promise<T>): Promise<T>
}

/** A node-redis pool, or a Sentinel client, whose pool is that of the master: a flight takes one connection. */
export function nodeRedisPoolDriver(client: NodeRedisLike): RedisDriver {
  const take =
    '_execute' in client
      ? <T>(work: (member: NodeRedisClient) => Promise<T>) => (client as Sentinel)._execute(false, work)
      : <T>(work: (member: NodeRedisClient) => Promise<T>) => (client as Pool).execute(work)
  return {
    client: 'node-redis',
    cluster: false,
    sharded: true,
    send: (_key, commands) => take((member) => sendByNodeRedis(member, commands)),
    async listen(events, signal) {
      // A member is given back at once: only its settings are of interest.
      const { member } = await take(async (member) => ({ member }))
      return nodeRedisListener(member, events, signal)
    },
    async duplicate() {
      const { member } = await take(async (member) => ({ member }))
      return nodeRedisDriver(member).duplicate()
    },
  }
}
