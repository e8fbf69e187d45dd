import type { RedisDriver } from '../driver.ts'
import { nodeRedisDriver } from './driver.ts'
import { listen } from './listener.ts'
import type { NodeRedisClient, NodeRedisLike } from './node-redis-like.ts'
import { send } from './send.ts'

/** What is used of a pool. */
interface Pool extends NodeRedisLike {
  execute<T>(work: (client: NodeRedisClient) => Promise<T>): Promise<T>
}

/** What is used of a Sentinel client, which is a pool of connections to the master. */
interface Sentinel extends NodeRedisLike {
  _execute<T>(readOnly: false, work: (client: NodeRedisClient) => Promise<T>): Promise<T>
}

/** A client with several connections: each flight takes one. */
export function nodeRedisPoolDriver(client: NodeRedisLike): RedisDriver {
  const take = <T>(work: (member: NodeRedisClient) => Promise<T>): Promise<T> =>
    '_execute' in client ? (client as Sentinel)._execute(false, work) : (client as Pool).execute(work)
  /** A connection that is given back at once: only its settings are of interest. */
  const any = async (): Promise<NodeRedisClient> => (await take(async (member) => ({ member }))).member
  return {
    client: 'node-redis',
    cluster: false,
    sharded: true,
    send: (_key, commands) => take((member) => send(member, commands)),
    listen: async (events, signal) => listen(await any(), events, signal),
    duplicate: async () => nodeRedisDriver(await any()).duplicate(),
  }
}
