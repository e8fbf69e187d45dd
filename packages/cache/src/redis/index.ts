import { checkOptions, opt } from '@keelson/kernel'
import { redisPort, type IoredisLike, type NodeRedisLike, type RedisPort } from '@keelson/kernel/redis'
import { optionFailure } from '../error.ts'
import type { CacheStore } from '../store.ts'
import { redisTier } from './tier.ts'

/** What `redisStore` takes; all optional. */
export interface RedisStoreOptions {
  /** Whose connection hears of invalidations; default: a copy of `client`, opened by the first member. */
  readonly subscriber?: IoredisLike | NodeRedisLike | RedisPort
  /** Parts that a name is spread over in a Cluster: 1. */
  readonly slots?: number
  /**
   * Replicas that must have an invalidation before it counts (WAIT, at most 100 ms); default 0. A new master starts a
   * new epoch whatever it has: this is for who reads replicas.
   */
  readonly replicas?: number
  /** In front of every key and channel; default 'keelson:cache'. */
  readonly prefix?: string
}

const SPEC = {
  subscriber: opt.custom<IoredisLike | NodeRedisLike | RedisPort>(
    'a client of ioredis or node-redis, or a RedisPort',
    (given) => typeof given === 'object' && given !== null,
  ),
  slots: opt.integer(1, { min: 1, max: 1 }),
  replicas: opt.integer(0, { max: 100 }),
  prefix: opt.string('keelson:cache', { match: /^[^\s{}]+$/, allowed: 'a text without spaces and braces' }),
}

/**
 * A shared tier in Redis 6.2 or later, or Valkey: an ioredis 5 or 6 Redis or Cluster, a node-redis client or cluster, or
 * a RedisPort. One script a step, time by the server; on a Cluster all of one cache lies in one slot. Nothing is sent
 * before the first call; the client stays the application's. What is evicted or lost is missed, never wrong.
 * @throws CacheError OPTION_INVALID; KernelError OPTION_INVALID for what is no client
 */
export function redisStore(
  client: IoredisLike | NodeRedisLike | RedisPort,
  options: RedisStoreOptions = {},
): CacheStore & { readonly kind: 'redis' } {
  const { subscriber, replicas, prefix } = checkOptions('redisStore', options, SPEC, optionFailure)
  const port = redisPort(client)
  const hears = subscriber === undefined ? port : redisPort(subscriber)
  return {
    kind: 'redis',
    open: (name, o) => redisTier({ ...o, port, subscriber: hears, prefix, name, replicas }),
  }
}
