/** Caches on Redis behind one interface. None has a memory of its own here: each read asks the server. */
import { createCache as createKeelson, type CacheOptions } from '@keelson/cache'
import { redisStore } from '@keelson/cache/redis'
import { cachified, type Cache as CachifiedCache, type CacheEntry } from '@epic-web/cachified'
import { createKeyv } from '@keyv/redis'
import { createCache as createDedupe } from 'async-cache-dedupe'
import { BentoCache, bentostore } from 'bentocache'
import { redisDriver } from 'bentocache/drivers/redis'
import { createCache as createManager } from 'cache-manager'
import { Cacheable } from 'cacheable'
import { Redis } from 'ioredis'
import { Loader, RedisCache } from 'layered-loader'

const TTL_MS = 3_600_000

/** A cache that is connected. */
export interface OpenSubject {
  getOrSet(key: string, load: () => Promise<object>, tags: readonly string[]): Promise<unknown>
  getMany?(keys: readonly string[]): Promise<readonly unknown[]>
  drop?(tag: string): Promise<unknown>
  close(): Promise<unknown> | void
}

/** Ours or a peer. */
export interface Subject {
  readonly name: string
  /** False: it is asked without tags. */
  readonly hasTags: boolean
  open(redisUrl: string, prefix: string): OpenSubject | Promise<OpenSubject>
}

export const KEELSON = 'keelson'

/** Not started: neither memory nor lease, so what is counted is the calls' own. A machine under load is no outage. */
export function openKeelson(url: string, prefix: string, o: Partial<CacheOptions> = {}): OpenSubject {
  const redis = new Redis(url)
  const caches = createKeelson({
    name: 'bench',
    store: redisStore(redis, { prefix }),
    l1: false,
    early: 0,
    ttl: TTL_MS,
    storeTimeout: '30s',
    ...o,
  })
  const cache = caches.scope('bench')
  return {
    getOrSet: (key, load, tags) => cache.getOrSet(key, load, { tags }),
    getMany: (keys) => cache.getMany(keys),
    drop: (tag) => cache.invalidate(tag),
    async close() {
      await caches.close()
      redis.disconnect()
    },
  }
}

export const peers: readonly Subject[] = [
  {
    name: 'bentocache',
    hasTags: true,
    open(url, prefix) {
      const store = bentostore().useL2Layer(redisDriver({ connection: new Redis(url), prefix }))
      const bento = new BentoCache({ default: 'l2', ttl: TTL_MS, stores: { l2: store } })
      return {
        getOrSet: (key, factory, tags) => bento.getOrSet({ key, factory, tags: [...tags] }),
        drop: (tag) => bento.deleteByTag({ tags: [tag] }),
        close: () => bento.disconnectAll(),
      }
    },
  },
  {
    name: 'cacheable',
    hasTags: true,
    open(url, prefix) {
      const cache = new Cacheable({ primary: createKeyv(url, { namespace: prefix }), ttl: TTL_MS, tags: true })
      return {
        async getOrSet(key, load, tags) {
          const known = await cache.get(key)
          if (known !== undefined) return known
          const value = await load()
          await cache.set(key, value, { tags: [...tags] })
          return value
        },
        getMany: (keys) => cache.getMany([...keys]),
        close: () => cache.disconnect(),
      }
    },
  },
  {
    name: 'cache-manager',
    hasTags: false,
    open(url, prefix) {
      const cache = createManager({ stores: [createKeyv(url, { namespace: prefix })], ttl: TTL_MS })
      return {
        getOrSet: (key, load) => cache.wrap(key, load),
        getMany: (keys) => cache.mget([...keys]),
        close: () => cache.disconnect(),
      }
    },
  },
  {
    name: 'async-cache-dedupe',
    hasTags: true,
    open(url, prefix) {
      const client = new Redis(url)
      const referencesTTL = TTL_MS / 1000
      const options = { client, invalidation: { referencesTTL } } as never
      const cache = createDedupe({ ttl: referencesTTL, storage: { type: 'redis', options } })
      type Call = { key: string; load: () => Promise<object>; tags: readonly string[] }
      const defined = cache.define(
        prefix,
        {
          serialize: ({ key }: Call) => key,
          references: ({ tags }: Call) => tags.map((tag) => `${prefix}:${tag}`),
        },
        ({ load }: Call) => load(),
      ) as unknown as Record<string, (call: Call) => Promise<object>>
      return {
        getOrSet: (key, load, tags) => defined[prefix]!({ key, load, tags }),
        drop: (tag) => cache.invalidateAll([`${prefix}:${tag}`]),
        close: () => client.disconnect(),
      }
    },
  },
  {
    name: '@epic-web/cachified',
    hasTags: false,
    open(url, prefix) {
      // It has no store of its own: the entry as JSON, as its adapters keep it.
      const redis = new Redis(url)
      const cache: CachifiedCache = {
        async get(key) {
          const found = await redis.get(`${prefix}:${key}`)
          return found === null ? null : (JSON.parse(found) as CacheEntry)
        },
        set: (key, entry) => redis.set(`${prefix}:${key}`, JSON.stringify(entry), 'PX', TTL_MS),
        delete: (key) => redis.del(`${prefix}:${key}`),
      }
      return {
        getOrSet: (key, getFreshValue) => cachified({ key, cache, ttl: TTL_MS, getFreshValue }),
        close: () => redis.disconnect(),
      }
    },
  },
  {
    name: 'layered-loader',
    hasTags: false,
    open(url, prefix) {
      const redis = new Redis(url)
      const loads = new Map<string, () => Promise<object>>()
      const loader = new Loader<object>({
        asyncCache: new RedisCache<object>(redis, { prefix, json: true, ttlInMsecs: TTL_MS }),
        dataSourceGetOneFn: (key) => loads.get(key)!(),
        dataSourceGetManyFn: async () => [],
        cacheKeyFromValueResolver: (value) => `user:${(value as { id: number }).id}`,
      })
      return {
        async getOrSet(key, load) {
          loads.set(key, load)
          try {
            return await loader.get(key)
          } finally {
            loads.delete(key)
          }
        },
        getMany: (keys) => loader.getMany([...keys], undefined as never),
        close: () => redis.disconnect(),
      }
    },
  },
]

/** A plain GET and SET of JSON by ioredis: what a cache without any promise costs. */
export function openGet(url: string, prefix: string): OpenSubject {
  const redis = new Redis(url)
  return {
    async getOrSet(key, load) {
      const known = await redis.get(`${prefix}:${key}`)
      if (known !== null) return JSON.parse(known) as object
      const value = await load()
      await redis.set(`${prefix}:${key}`, JSON.stringify(value), 'PX', TTL_MS)
      return value
    },
    getMany: async (keys) =>
      (await redis.mget(keys.map((key) => `${prefix}:${key}`))).map((found) => JSON.parse(found ?? 'null') as unknown),
    close: () => redis.disconnect(),
  }
}

export const GET = 'ioredis GET'

/** What is cached: 300 bytes, and five tags from one that all have to one of a few. */
export const valueOf = (i: number): object => ({ id: i, name: `user ${i}`, about: 'x'.repeat(260) })
export const tagsOf = (i: number): string[] => [1, 3, 10, 30, 100].map((of) => `of${of}:${i % of}`)
