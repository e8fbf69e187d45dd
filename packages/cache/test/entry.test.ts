import { virtualClock } from '@keelson/kernel/testing'
import { expect, test, vi } from 'vitest'
import { createCache, type Cache } from '@keelson/cache'
import { leased, settled } from './leased.ts'

test('an entry has at most 64 tags, wherever they come from', async () => {
  await using caches = createCache({ name: 'tags' })
  const cache = caches.scope('s')
  const tags = (from: number, count: number): string[] => Array.from({ length: count }, (_, i) => `t${from + i}`)
  const loads = cache.getOrSet('k', (ctx) => (ctx.tag(...tags(40, 40)), 1), { tags: tags(0, 40) })
  await expect(loads).rejects.toMatchObject({ code: 'TAG_INVALID' })
  expect(await cache.getOrSet('k', (ctx) => (ctx.tag(...tags(0, 64)), 1), { tags: tags(0, 40) })).toBe(1)
})

test('a loader cannot change the previous value for those who get it', async () => {
  await using caches = createCache({ name: 'previous', share: 'clone' })
  const cache = caches.scope('s')
  const o = { ttl: '1m', grace: '1m', tags: ['t'] } as const
  await cache.getOrSet('k', () => ({ list: [1] }), o)
  await cache.expire('t')
  const failing = cache.getOrSet<{ list: number[] }>(
    'k',
    (ctx) => {
      ctx.previous!.value.list.push(2)
      throw new Error('no')
    },
    o,
  )
  expect(await failing).toEqual({ list: [1] })
})

test('an invalidation and a load of one moment: the load began after it, and is kept', async () => {
  await using caches = createCache({ name: 'moment' })
  const cache = caches.scope('s')
  const load = vi.fn(() => 1)
  await Promise.all([cache.invalidate('t'), cache.getOrSet('k', load, { tags: ['t'] })])
  expect(await cache.get('k')).toBe(1)
})

test('what is in memory ends by the clock of the cache', async () => {
  await using all = leased()
  const { caches } = await all.started({ l1: { maxEntries: 10 } })
  const cache = caches.scope('s')
  for (let i = 0; i < 10; i++) await cache.getOrSet(['k', i], () => i, '1m')
  expect((await caches.inspect()).l1.entries).toBe(10)
  for (let i = 0; i < 10; i++) expect(cache.peek(['k', i])).toBe(i)
})

test('a load that throws gives its lock back: others load at once', async () => {
  await using all = leased()
  const [a, b] = [await all.started(), await all.started()]
  const failing = a.caches.scope('s').getOrSet('k', () => Promise.reject(new Error('no')))
  await expect(failing).rejects.toThrow('no')
  expect(await b.caches.scope('s').getOrSet('k', () => 1)).toBe(1)
  expect(all.clock.monotonic()).toBe(0)
})

test.each(['freeze', 'clone', 'unsafe'] as const)('bytes come back as what they were, with share %s', async (share) => {
  await using all = leased()
  const [a, b] = [await all.started({ share }), await all.started({ share })].map(({ caches }) =>
    caches.scope('s'),
  ) as [Cache, Cache]
  const loaded = { buffer: Buffer.from('ab'), array: new Uint8Array([1, 2]) }
  for (const [key, bytes] of Object.entries(loaded)) {
    const found = [await a.getOrSet(key, () => bytes), await a.getOrSet(key, () => bytes), await b.get(key)]
    for (const each of found) {
      expect(each).toEqual(bytes)
      expect(Buffer.isBuffer(each)).toBe(key === 'buffer')
      // Nobody's bytes are another's.
      if (share !== 'unsafe') (each as Uint8Array)[0] = 0
    }
  }
})

test('a list with members of its own is answered, and not stored', async () => {
  await using caches = createCache({ name: 'members' })
  const cache = caches.scope('s')
  const found = /b/.exec('abc')
  expect(await cache.getOrSet('k', () => found)).toBe(found)
  expect(await cache.has('k')).toBe(false)
  await expect(cache.set('k', found)).rejects.toMatchObject({ code: 'VALUE_UNSUPPORTED' })
})

test('times that nobody named follow a shorter maxTtl', async () => {
  await using caches = createCache({ name: 'short', maxTtl: '10s', jitter: 0, clock: virtualClock() })
  const cache = caches.scope('s')
  for (const value of [1, null]) {
    expect(await cache.lookup(`k${value}`, () => value)).toMatchObject({ ttl: 10_000 })
  }
})

test('a wrapped function has its this; arguments left out at the end are no parts of the key', async () => {
  await using caches = createCache({ name: 'wrapped' })
  const cache = caches.scope('s')
  const calls: unknown[] = []
  async function inWords(this: unknown, id: string, lang?: string): Promise<string> {
    calls.push([id, lang])
    return `${(this as { name: string }).name} ${id} ${lang}`
  }
  const shop = { name: 'shop', find: cache.wrap('find', inWords) }
  expect([await shop.find('a'), await shop.find('a', undefined), await shop.find('a', 'de')]).toEqual([
    'shop a undefined',
    'shop a undefined',
    'shop a de',
  ])
  expect(calls).toHaveLength(2)
  expect(await cache.has(['find', 'a'])).toBe(true)
  const between = cache.wrap('between', async (a: string, b?: string, c?: string) => `${a}${b}${c}`)
  await expect(between('a', undefined, 'c')).rejects.toMatchObject({ code: 'KEY_INVALID' })
})

test('close() aborts what still loads', async () => {
  const caches = createCache({ name: 'closing' })
  const aborted = Promise.withResolvers<unknown>()
  const load = caches.scope('s').getOrSet('k', async ({ signal }) => {
    signal.addEventListener('abort', () => aborted.resolve(signal.reason))
    throw await aborted.promise
  })
  const fails = expect(load).rejects.toMatchObject({ code: 'CLOSED' })
  await settled()
  await caches.stop({ drain: 0 })
  expect((await caches.inspect()).loads.running).toBe(1)
  await caches.close()
  expect(await aborted.promise).toMatchObject({ code: 'CLOSED' })
  await fails
})
