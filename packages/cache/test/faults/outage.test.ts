import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createCache, type CacheOptions, type Caches } from '@keelson/cache'
import { redisStore } from '@keelson/cache/redis'
import { startRedis, type RedisServer } from '../../../../tools/servers/redis.ts'
import { watchRejections } from '../../../idempotency/test/faults/unhandled.ts'

watchRejections()

describe.each(['frozen', 'killed'] as const)('while Redis is %s', (how) => {
  let server: RedisServer
  const opened: { caches: Caches; client: Redis }[] = []
  beforeAll(async () => {
    server = await startRedis({ settings: { appendonly: 'yes' } })
  })
  afterAll(async () => {
    await back()
    for (const { caches, client } of opened) {
      await caches.close()
      client.disconnect()
    }
    await server.stop()
  })

  async function node(o: Partial<CacheOptions> = {}): Promise<Caches> {
    const client = new Redis(server.url)
    client.on('error', () => {})
    const caches = createCache({ name: 'outage', store: redisStore(client), lease: '300ms', jitter: 0, early: 0, ...o })
    opened.push({ caches, client })
    await caches.start()
    return caches
  }
  async function away(): Promise<void> {
    if (how === 'frozen') server.freeze()
    else await server.kill()
  }
  let isAway = false
  async function back(): Promise<void> {
    if (!isAway) return
    isAway = false
    if (how === 'frozen') server.thaw()
    else await server.restart()
  }

  test('the loader answers, one load for a crowd, nothing hangs; invalidations are owed and paid first', async () => {
    const [a, b] = [await node(), await node()]
    const [ca, cb] = [a.scope('s'), b.scope('s')]
    let truth = 'old'
    const load = vi.fn(async () => truth)
    const read = async (cache: typeof ca): Promise<string> => cache.getOrSet('k', load, { tags: ['t'] })
    await vi.waitFor(
      async () => {
        expect([await read(ca), await read(cb)]).toEqual(['old', 'old'])
        expect([ca.peek('k'), cb.peek('k')]).toEqual(['old', 'old'])
      },
      { timeout: 60_000 },
    )

    await away()
    isAway = true
    truth = 'new'
    await expect(ca.invalidate('t')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
    expect((await a.inspect()).owed.tags).toBe(1)
    // Not acknowledged, but this node knows.
    expect(await read(ca)).toBe('new')
    await vi.waitFor(async () => expect((await a.inspect()).store.state).toBe('down'), { timeout: 60_000 })
    load.mockClear()
    const crowd = await Promise.all(Array.from({ length: 200 }, async () => read(ca)))
    expect(new Set(crowd)).toEqual(new Set(['new']))
    expect(load.mock.calls.length).toBeLessThanOrEqual(2)
    expect((await ca.lookup('k', load)).state).toBe('bypass')
    expect(await ca.get('k')).toBeUndefined()

    await back()
    await vi.waitFor(async () => expect((await a.inspect()).state).toBe('ok'), { timeout: 60_000 })
    // The debt was paid before anything was read: the old entry is gone for everybody.
    expect(await read(cb)).toBe('new')
    expect(await read(ca)).toBe('new')
  })

  test('a load that failed is the only thing that rejects', async () => {
    const caches = await node()
    await away()
    isAway = true
    const cache = caches.scope('s')
    await expect(cache.getOrSet('e', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await cache.getMany(['x', 'y'])).toEqual([undefined, undefined])
    expect(await cache.has('x')).toBe(false)
    expect(await cache.getOrSetMany(['x', 'y'], async (keys) => keys.map(() => 1))).toEqual([1, 1])
    await expect(cache.set('x', 1)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await back()
  })

  test('a node that starts meanwhile starts, and serves from memory once the store is back', async () => {
    await away()
    isAway = true
    const caches = await node()
    const cache = caches.scope('late')
    expect(await cache.getOrSet('k', () => 1)).toBe(1)
    await back()
    await vi.waitFor(async () => expect((await caches.inspect()).lease.held).toBe(true), { timeout: 60_000 })
    await vi.waitFor(
      async () => {
        await cache.getOrSet('k', () => 2)
        expect(cache.peek('k')).toBe(2)
      },
      { timeout: 60_000 },
    )
  })
})
