import { createCache as createManager } from 'cache-manager'
import { Keyv } from 'keyv'
import { expect, test, vi } from 'vitest'
import { createCache, type Cache } from '@keelson/cache'
import { keyvAdapter } from '@keelson/cache/keyv'
import { away, leased } from './leased.ts'

async function withCache(work: (cache: Cache) => Promise<void>): Promise<void> {
  await using caches = createCache({ name: 'keyv' })
  await work(caches.scope('public'))
}

test('Keyv reads what it wrote, and knows what it deleted', async () => {
  await withCache(async (cache) => {
    const keyv = new Keyv({ store: keyvAdapter(cache) })
    expect(await keyv.set('a', { n: [1] })).toBe(true)
    expect(await keyv.get('a')).toEqual({ n: [1] })
    expect(await keyv.has('a')).toBe(true)
    expect(await keyv.get(['a', 'b'])).toEqual([{ n: [1] }, undefined])
    expect(await keyv.delete('a')).toBe(true)
    expect(await keyv.delete('a')).toBe(false)
    expect(await keyv.get('a')).toBeUndefined()
    await keyv.set('b', 2)
    expect(await keyv.delete(['b', 'c'])).toBe(true)
    expect(await keyv.has('b')).toBe(false)
    expect(await keyv.get('never')).toBeUndefined()
  })
})

test('clear() is of its namespace alone', async () => {
  await withCache(async (cache) => {
    const [one, two] = ['one', 'two'].map((namespace) => new Keyv({ store: keyvAdapter(cache), namespace })) as [
      Keyv,
      Keyv,
    ]
    await cache.set('own', 0)
    await one.set('k', 1)
    await two.set('k', 2)
    await one.clear()
    expect([await one.get('k'), await two.get('k'), await cache.get('own')]).toEqual([undefined, 2, 0])
  })
})

test('a ttl ends an entry', async () => {
  await using all = leased()
  const { caches } = await all.started()
  const adapter = keyvAdapter(caches.scope('public'))
  await all.during(adapter.set('k', 1, 5_000))
  expect(await adapter.get('k')).toBe(1)
  await all.clock.advance(6_000)
  expect(await all.during(adapter.get('k'))).toBeUndefined()
  await expect(adapter.set('k', 1, 0)).rejects.toMatchObject({ code: 'OPTION_INVALID' })
})

test('cache-manager works with it: wrap() calls once, mset() and mdel() reach all', async () => {
  await withCache(async (cache) => {
    const manager = createManager({ stores: [new Keyv({ store: keyvAdapter(cache) })] })
    const load = vi.fn(async () => ({ id: 7 }))
    expect(await manager.wrap('user', load, 60_000)).toEqual({ id: 7 })
    expect(await manager.wrap('user', load, 60_000)).toEqual({ id: 7 })
    expect(load).toHaveBeenCalledTimes(1)
    await manager.mset([
      { key: 'a', value: 1 },
      { key: 'b', value: 2, ttl: 1_000 },
    ])
    expect(await manager.mget(['a', 'b', 'c'])).toEqual([1, 2, undefined])
    await manager.mdel(['a', 'b'])
    expect(await manager.mget(['a', 'b'])).toEqual([undefined, undefined])
    await manager.set('a', 1)
    await manager.clear()
    expect(await manager.get('a')).toBeUndefined()
  })
})

test('while the store is away reads miss and writes say so', async () => {
  await using all = leased()
  const { caches, line } = await all.started()
  line.before = away
  const keyv = new Keyv({ store: keyvAdapter(caches.scope('public')) })
  const errors = vi.fn()
  keyv.on('error', errors)
  expect(await keyv.get('k')).toBeUndefined()
  expect(await keyv.set('k', 1)).toBe(false)
  expect(errors).toHaveBeenCalledWith(expect.objectContaining({ code: 'STORE_UNAVAILABLE' }))
})

test('what is no cache is refused', () => {
  expect(() => keyvAdapter({} as Cache)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
})
