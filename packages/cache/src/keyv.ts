import { type Duration } from '@keelson/kernel'
import type { Cache } from './cache.ts'
import { optionFailure } from './error.ts'

/** What Keyv 5 calls a storage adapter. */
export interface KeyvAdapter {
  readonly opts: Readonly<Record<string, unknown>>
  /** Set by Keyv; `clear` is of this namespace alone. */
  namespace?: string
  get<T>(key: string): Promise<T | undefined>
  getMany<T>(keys: string[]): Promise<(T | undefined)[]>
  /** `ttlMs` undefined: the cache's own `ttl`. */
  set(key: string, value: unknown, ttlMs?: number): Promise<boolean>
  has(key: string): Promise<boolean>
  /** False of what was not there. */
  delete(key: string): Promise<boolean>
  deleteMany(keys: string[]): Promise<boolean>
  clear(): Promise<void>
  /** There are no events: what fails rejects. */
  on(event: string, listener: (...args: unknown[]) => void): KeyvAdapter
}

/**
 * A scope of a cache as a store of Keyv 5, and so of cache-manager and Nest:
 *
 * ```ts
 * const keyv = new Keyv({ store: keyvAdapter(caches.scope('public')) })
 * ```
 *
 * What is written through it is invalidated on every node, as by `set` and `delete`. Writes reject while the store is
 * away; reads are misses then.
 * @throws CacheError OPTION_INVALID
 */
export function keyvAdapter(cache: Cache): KeyvAdapter {
  if (typeof (cache as Partial<Cache> | undefined)?.getOrSet !== 'function') {
    throw optionFailure(`keyvAdapter: "cache" must be a Cache: caches.scope(name) (got ${typeof cache})`)
  }
  /** Of all entries of one namespace, and of no other entry of this scope. */
  const tag = (): string => `keyv:${adapter.namespace ?? ''}`

  const adapter: KeyvAdapter = {
    opts: {},
    get: async (key) => cache.get(key),
    // Of one moment, so one round trip for each thousand.
    getMany: async (keys) => Promise.all(keys.map(async (key) => cache.get<any>(key))),
    async set(key, value, ttlMs) {
      const ttl: { ttl?: Duration } = ttlMs === undefined ? {} : { ttl: ttlMs }
      await cache.set(key, value, { ...ttl, tags: [tag()] })
      return true
    },
    has: async (key) => cache.has(key),
    async delete(key) {
      const wasThere = await cache.has(key)
      await cache.delete(key)
      return wasThere
    },
    async deleteMany(keys) {
      if (keys.length > 0) await cache.delete(...keys)
      return true
    },
    async clear() {
      await cache.invalidate(tag())
    },
    on: () => adapter,
  }
  return adapter
}
