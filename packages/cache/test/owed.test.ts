import { silentLogger } from '@keelson/kernel'
import { expect, test, vi } from 'vitest'
import { away, LEASE_MS, leased, settled } from './leased.ts'

test('a failed invalidation: this node serves nothing older from its memory', async () => {
  await using all = leased()
  const a = await all.started()
  const cache = a.caches.scope('s')
  await all.during(cache.getOrSet('k', () => 'old', { tags: ['t'] }))
  const lostReply = Promise.withResolvers<never>()
  lostReply.promise.catch(() => {})
  a.line.after = (method) => (method === 'bump' ? lostReply.promise : undefined)
  a.line.before = (method) => (method === 'bump' ? settled() : undefined)
  const invalidation = cache.invalidate('t')
  // Read before the store has it, kept in memory while it is on its way.
  expect(await cache.get('k')).toBe('old')
  expect(cache.peek('k')).toBe('old')
  lostReply.reject(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))
  await expect(invalidation).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  expect(cache.peek('k')).toBeUndefined()
})

test('while the store is away a debt costs reads nothing, and is logged once', async () => {
  await using all = leased()
  const warn = vi.fn()
  const a = await all.started({ logger: { ...silentLogger, warn } })
  const cache = a.caches.scope('s')
  a.line.before = away
  await expect(cache.invalidate('t', 'u')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  for (let i = 0; i < 10; i++) expect(await cache.getOrSet(['k', i], () => i)).toBe(i)
  expect(warn.mock.calls.filter((call) => call[1] === 'cache.drop.owed')).toHaveLength(1)
})

test('how long a debt has been owed counts from its beginning', async () => {
  await using all = leased()
  const a = all.node()
  const cache = a.caches.scope('s')
  a.line.before = (method) => (method === 'ping' ? undefined : away())
  await expect(cache.invalidate('t')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  await all.clock.advance(10_000)
  expect(await cache.getOrSet('k', () => 1)).toBe(1)
  expect((await a.caches.inspect()).owed).toEqual({ tags: 1, oldestMs: 10_000 })
  a.line.before = () => undefined
  await all.clock.advance(LEASE_MS)
  await all.during(cache.get('k'))
  expect((await a.caches.inspect()).owed).toEqual({ tags: 0, oldestMs: 0 })
})

test('a debt is paid before anything is read', async () => {
  await using all = leased()
  const a = all.node()
  const cache = a.caches.scope('s')
  await all.during(cache.getOrSet('k', () => 'old', { tags: ['t'] }))
  let fails = true
  a.line.before = (method) => (method === 'bump' && fails ? away() : undefined)
  await expect(cache.invalidate('t')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  expect(await cache.get('k')).toBeUndefined()
  fails = false
  await all.clock.advance(LEASE_MS)
  a.line.calls.length = 0
  expect(await all.during(cache.getOrSet('k', () => 'new', { tags: ['t'] }))).toBe('new')
  expect(a.line.calls.slice(0, 2)).toEqual(['bump', 'read'])
})
