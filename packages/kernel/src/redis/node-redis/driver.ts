import type { RedisDriver } from '../driver.ts'
import { NOT_COPIED, openCopy } from './copy.ts'
import { listen } from './listener.ts'
import type { NodeRedisClient } from './node-redis-like.ts'
import { send } from './send.ts'

/** A single server behind node-redis. */
export function nodeRedisDriver(client: NodeRedisClient): RedisDriver {
  return {
    client: 'node-redis',
    cluster: false,
    sharded: 'sSubscribe' in client,
    send: (_key, commands) => send(client, commands),
    listen: (events, signal) => listen(client, events, signal),
    duplicate: () => openCopy(client.duplicate(NOT_COPIED), nodeRedisDriver),
  }
}
