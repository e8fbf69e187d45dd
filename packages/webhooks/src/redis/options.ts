import { checkOptions, opt } from '@keelson/kernel'
import { optionFailure } from '../error.ts'

/** What `redisStore` takes; all optional. */
export interface RedisStoreOptions {
  /** In front of every key; default 'keelson:webhooks'. */
  readonly prefix?: string
  /** Parts that a Cluster may put on different servers; a scope is in one of them for ever. Default 1. */
  readonly shards?: number
}

const SPEC = {
  prefix: opt.string('keelson:webhooks', { match: /^[^\s{}]+$/, allowed: 'a text without spaces and braces' }),
  shards: opt.integer(1, { min: 1, max: 1_024 }),
}

/** @throws WebhookError OPTION_INVALID */
export function checkRedisOptions(o: RedisStoreOptions): Required<RedisStoreOptions> {
  return checkOptions('redisStore', o, SPEC, optionFailure)
}
