import { expect, test, vi } from 'vitest'
import { createCache } from '@keelson/cache'
import { leased } from './leased.ts'

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
