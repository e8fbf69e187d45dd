import { show } from '../duration.ts'
import { KernelError } from '../kernel-error.ts'
import type { RedisDriver } from './driver.ts'
import { ioredisClusterDriver } from './ioredis/cluster.ts'
import { ioredisDriver } from './ioredis/driver.ts'
import type { IoredisLike } from './ioredis/ioredis-like.ts'
import { nodeRedisClusterDriver } from './node-redis/cluster.ts'
import { nodeRedisPoolDriver } from './node-redis/pool.ts'
import { nodeRedisDriver } from './node-redis/driver.ts'
import type { NodeRedisClient, NodeRedisLike } from './node-redis/node-redis-like.ts'

/**
 * Recognises a client by its shape: the kernel imports none.
 * @throws KernelError OPTION_INVALID that says what was found.
 */
export function redisDriverOf(client: unknown): RedisDriver {
  if (typeof client !== 'object' || client === null) throw notRedis(client)
  if (isIoredis(client)) {
    refusePrefix(client.options?.keyPrefix)
    return client.isCluster ? ioredisClusterDriver(client) : ioredisDriver(client)
  }
  if (isNodeRedis(client)) {
    // Only node-redis 6 has prefixes.
    refusePrefix((client as { _keyPrefix?: string | Uint8Array })._keyPrefix)
    if ('masters' in client) return nodeRedisClusterDriver(client)
    return 'duplicate' in client && !('_execute' in client)
      ? nodeRedisDriver(client as NodeRedisClient)
      : nodeRedisPoolDriver(client)
  }
  throw notRedis(client)
}

function isIoredis(client: object): client is IoredisLike {
  return 'status' in client && 'call' in client && typeof client.call === 'function'
}

function isNodeRedis(client: object): client is NodeRedisLike {
  return 'isOpen' in client && 'sendCommand' in client && typeof client.sendCommand === 'function'
}

/** ioredis would add it to some commands' keys only, node-redis to none: stores have a prefix of their own. */
function refusePrefix(prefix: string | Uint8Array | null | undefined): void {
  if (prefix === undefined || prefix === null || prefix.length === 0) return
  throw new KernelError(
    'OPTION_INVALID',
    `redisPort: "client" must not have a keyPrefix, which would not reach every key (got ${show(prefix)})`,
  )
}

function notRedis(found: unknown): KernelError {
  return new KernelError(
    'OPTION_INVALID',
    `redisPort: "client" must be a client of ioredis or node-redis, or a RedisPort (got ${described(found)})`,
  )
}

/** Never a text itself: a Redis URL holds a password. */
function described(found: unknown): string {
  if (typeof found === 'string') return 'a string'
  const name: unknown = typeof found === 'object' && found !== null ? found.constructor?.name : undefined
  return typeof name === 'string' && name !== 'Object' && name !== 'Array' ? `a ${name}` : show(found)
}
