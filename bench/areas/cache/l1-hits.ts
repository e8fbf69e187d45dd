import { createCache } from '@keelson/cache'
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { Cacheable } from 'cacheable'
import { LRUCache } from 'lru-cache'
import type { Case, Contender } from '../../src/case.ts'
import { hotAsyncPath, hotPath } from '../../src/hot-path.ts'
import { createL1 } from './l1.ts'

const KEYS = 10_000
const TTL_MS = 3_600_000
const MAP = 'Map.get and one clock read'
const L1_TAGGED = 'keelson L1, 5 tags'
const L1_BARE = 'keelson L1, no tags'
const PEEK = 'keelson peek, 5 tags'
const GET_OR_SET = 'keelson getOrSet, 5 tags'
const BENTOCACHE = 'bentocache, 5 tags'
const CACHEABLE = 'cacheable, 5 tags'

const keys = Array.from({ length: KEYS }, (_, i) => `user:${i}`)
const keyAt = (i: number): string => keys[i % KEYS]!
const valueOf = (i: number): object => ({ id: i, name: `user ${i}` })
/** From one that all have to one of a hundred entries. */
const tagsOf = (i: number): string[] => [1, 3, 10, 30, 100].map((of) => `of${of}:${i % of}`)

/** Reads of what is in the memory of this process. */
export function l1Hits(): Case[] {
  return [
    {
      name: `L1 hit, ${KEYS} keys`,
      note: 'no clock in lru-cache; one clock read in each of ours',
      base: MAP,
      contenders: [
        { name: MAP, open: () => openMap() },
        l1(L1_TAGGED, tagsOf),
        l1(L1_BARE, () => []),
        peek(),
        {
          name: 'lru-cache',
          open() {
            const lru = new LRUCache<string, object>({ max: 2 * KEYS })
            for (const [i, key] of keys.entries()) lru.set(key, valueOf(i))
            return hotPath('ns', (i) => lru.get(keyAt(i)))
          },
        },
      ],
      targets: [
        { of: L1_TAGGED, figure: 'ns', over: MAP, atMost: 1.5 },
        { of: L1_TAGGED, figure: 'ns', over: L1_BARE, atMost: 1.15 },
        { of: PEEK, figure: 'ns', over: MAP, atMost: 1.5 },
      ],
    },
    {
      name: `awaited L1 hit, ${KEYS} keys`,
      base: GET_OR_SET,
      contenders: [getOrSet(), bentocache(), cacheable()],
      targets: [
        { of: BENTOCACHE, figure: 'ns', over: GET_OR_SET, atLeast: 30 },
        { of: CACHEABLE, figure: 'ns', over: GET_OR_SET, atLeast: 70 },
      ],
    },
  ]
}

function openMap() {
  const map = new Map(keys.map((key, i) => [key, valueOf(i)]))
  const endsMs = performance.now() + TTL_MS
  return hotPath('ns', (i) => {
    const value = map.get(keyAt(i))
    return performance.now() < endsMs ? value : undefined
  })
}

function l1(name: string, tags: (i: number) => string[]): Contender {
  return {
    name,
    open() {
      const scope = createL1({ maxEntries: 2 * KEYS, maxBytes: 1e9 }).scope('bench')
      const endsMs = performance.now() + TTL_MS
      for (const [i, key] of keys.entries()) {
        const times = { loadMs: 1, storedMs: 0, endsMs, goneMs: endsMs }
        scope.put(key, scope.generation, {
          value: valueOf(i),
          bytes: 100,
          tags: tags(i),
          stamp: '1',
          fill: 'f',
          ...times,
        })
      }
      return hotPath('ns', (i) => {
        const entry = scope.get(keyAt(i))
        return entry !== undefined && performance.now() < entry.endsMs ? entry.value : undefined
      })
    },
  }
}

async function openCache() {
  const caches = createCache({ name: 'bench', ttl: TTL_MS, early: 0, l1: { maxEntries: 2 * KEYS } })
  const cache = caches.scope('bench')
  for (const [i, key] of keys.entries()) await cache.getOrSet(key, () => valueOf(i), { tags: tagsOf(i) })
  return { cache, close: () => caches.close() }
}

function peek(): Contender {
  return {
    name: PEEK,
    async open() {
      const { cache, close } = await openCache()
      return { ...hotPath('ns', (i) => cache.peek(keyAt(i))), close }
    },
  }
}

function getOrSet(): Contender {
  return {
    name: GET_OR_SET,
    async open() {
      const { cache, close } = await openCache()
      const load = (): never => {
        throw new Error('it was a miss')
      }
      return { ...hotAsyncPath('ns', (i) => cache.getOrSet(keyAt(i), load)), close }
    },
  }
}

function bentocache(): Contender {
  return {
    name: BENTOCACHE,
    async open() {
      const store = bentostore().useL1Layer(memoryDriver({ maxItems: 2 * KEYS }))
      const bento = new BentoCache({ default: 'l1', ttl: TTL_MS, stores: { l1: store } })
      for (const [i, key] of keys.entries()) await bento.set({ key, value: valueOf(i), tags: tagsOf(i) })
      return { ...hotAsyncPath('ns', (i) => bento.get({ key: keyAt(i) })), close: () => bento.disconnectAll() }
    },
  }
}

function cacheable(): Contender {
  return {
    name: CACHEABLE,
    async open() {
      const cache = new Cacheable({ ttl: TTL_MS, tags: true })
      for (const [i, key] of keys.entries()) await cache.set(key, valueOf(i), { tags: tagsOf(i) })
      return { ...hotAsyncPath('ns', (i) => cache.get(keyAt(i))), close: () => cache.disconnect() }
    },
  }
}
