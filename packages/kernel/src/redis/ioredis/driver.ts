import type { RedisDriver } from '../driver.ts'
import { openCopy } from './copy.ts'
import type { IoredisLike } from './ioredis-like.ts'
import { listen } from './listener.ts'
import { send } from './send.ts'

/** A single server behind ioredis, also one that a Sentinel names. */
export function ioredisDriver(redis: IoredisLike): RedisDriver {
  return {
    client: 'ioredis',
    cluster: false,
    sharded: 'ssubscribe' in redis,
    send: (_key, commands) => send(redis, commands),
    listen: (events, signal) => listen(redis, events, signal),
    duplicate: () => openCopy(redis.duplicate({ lazyConnect: true }), ioredisDriver),
  }
}
