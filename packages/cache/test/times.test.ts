import { virtualClock } from '@keelson/kernel/testing'
import { describe, expect, test, vi } from 'vitest'
import { createCache, memoryStore, type CacheOptions, type Caches } from '@keelson/cache'
import { leased, settled, type Leased } from './leased.ts'

function own(clock: ReturnType<typeof virtualClock>, o: Partial<CacheOptions> = {}): Caches {
  return createCache({ name: 'times', store: memoryStore({ clock }), clock, jitter: 0, early: 0, ...o })
}

describe('how long an entry lives', () => {
  test.each([
    [0, 10_000],
    [1, 7_500],
  ])('with chance at %d: jitter only shortens', async (chance, ttl) => {
    const clock = virtualClock()
    await using caches = own(clock, { jitter: 0.25, random: () => chance })
    expect(await caches.scope('s').lookup('k', () => 1, '10s')).toMatchObject({ ttl })
  })

  test('a null by negativeTtl, whatever else by ttl or what its loader says', async () => {
    const clock = virtualClock()
    await using caches = own(clock)
    const cache = caches.scope('s')
    const o = { ttl: '10s', negativeTtl: '1s' } as const
    expect(await cache.lookup('null', () => null, o)).toMatchObject({ ttl: 1_000 })
    expect(await cache.lookup('zero', () => 0, o)).toMatchObject({ ttl: 10_000 })
    expect(await cache.lookup('said', (ctx) => (ctx.ttl('3s'), 1), o)).toMatchObject({ ttl: 3_000 })
    await clock.advance(1_000)
    expect([await cache.has('null'), await cache.has('zero')]).toEqual([false, true])
  })

  test.each(['memory', 'shared'])('as stale to the end of its grace, not a moment longer: %s', async (where) => {
    await using all = leased()
    await using caches = where === 'memory' ? own(all.clock) : all.node().caches
    const cache = caches.scope('s')
    const o = { ttl: '10s', grace: '5s' } as const
    const fails = async (): Promise<never> => Promise.reject(new Error('down'))
    await cache.getOrSet('k', () => 1, o)
    await all.clock.advance(9_999)
    expect(await cache.get('k')).toBe(1)
    await all.clock.advance(1)
    expect(await cache.get('k')).toBeUndefined()
    await all.clock.advance(4_999)
    expect(await cache.lookup('k', fails, o)).toMatchObject({ value: 1, state: 'stale' })
    await all.clock.advance(1)
    await expect(all.during(cache.lookup('k', fails, o))).rejects.toThrow('down')
  })

  test('in memory no longer than in the store', async () => {
    await using all = leased()
    const [a, b] = [await all.started(), await all.started()]
    await a.caches.scope('s').getOrSet('k', () => 1, '800ms')
    await all.clock.advance(500)
    await settled()
    expect(await b.caches.scope('s').get('k')).toBe(1)
    for (const { caches } of [a, b]) expect(caches.scope('s').peek('k')).toBe(1)
    await all.clock.advance(300)
    for (const { caches } of [a, b]) expect(caches.scope('s').peek('k')).toBeUndefined()
  })

  test('each fill is a version of its own, also of one stamp', async () => {
    const clock = virtualClock()
    await using caches = own(clock)
    const cache = caches.scope('s')
    const first = await cache.lookup('k', () => 1, '1s')
    await clock.advance(1_000)
    const second = await cache.lookup('k', () => 2, '1s')
    expect(second.stamp).toBe(first.stamp)
    expect(await cache.fresh('k', first.version)).toBe(false)
    expect(await cache.fresh('k', second.version)).toBe(true)
  })
})

describe('before its end', () => {
  const LOAD_MS = 100
  /** Loaded at 0 for 1 s; `chance` is what `random` answers. */
  async function loaded(all: Leased, where: string, o: Partial<CacheOptions>) {
    const random = { chance: 1 }
    const node = all.node({ lease: '10s', early: 1, ...o, random: () => random.chance })
    if (where === 'memory') await node.caches.start()
    const cache = node.caches.scope('s')
    await all.during(cache.getOrSet('k', async () => all.clock.sleep(LOAD_MS).then(() => 'first'), '1s'))
    expect(cache.peek('k')).toBe(where === 'memory' ? 'first' : undefined)
    return { cache, random, line: node.line }
  }
  /** Until so much is left. */
  async function left(all: Leased, ms: number): Promise<void> {
    await all.clock.advance(1_000 + LOAD_MS - ms - all.clock.monotonic())
    await settled()
  }

  test.each(['memory', 'shared'])('chance picks who refreshes, the likelier the nearer: %s', async (where) => {
    await using all = leased()
    const { cache, random } = await loaded(all, where, {})
    const load = vi.fn(async () => 'second')
    const reads = async (): Promise<number> => {
      await cache.getOrSet('k', load, '1s')
      await settled()
      return load.mock.calls.length
    }
    await left(all, 80)
    // -ln(0.5) * 100 ms is 69 ms, -ln(0.4) 92.
    random.chance = 0.5
    expect(await reads()).toBe(0)
    random.chance = 0.4
    expect(await reads()).toBe(1)
    random.chance = 1
    expect(await cache.get('k')).toBe('second')
  })

  test.each([
    [0, 0],
    [2, 1],
  ])('with early %d: %d refresh where there would be none', async (early, refreshes) => {
    await using all = leased()
    const { cache, random } = await loaded(all, 'shared', { early })
    const load = vi.fn(async () => 'second')
    await left(all, 80)
    random.chance = early === 0 ? 1e-9 : 0.5
    await cache.getOrSet('k', load, '1s')
    await settled()
    expect(load).toHaveBeenCalledTimes(refreshes)
  })

  test.each(['memory', 'shared'])('one refreshes while the others hit, and again the next time: %s', async (where) => {
    await using all = leased()
    const { cache, random, line } = await loaded(all, where, {})
    const calls: PromiseWithResolvers<string>[] = []
    const load = async (): Promise<string> => (calls.push(Promise.withResolvers()), calls.at(-1)!.promise)
    await left(all, 50)
    random.chance = 0
    line.calls.length = 0
    for (let i = 0; i < 5; i++) {
      expect(await cache.getOrSet('k', load, '1s')).toBe('first')
      await settled()
    }
    expect(calls).toHaveLength(1)
    // The store is asked for the refresh alone, and for what memory does not have.
    expect(line.calls.filter((call) => call === 'read')).toHaveLength(where === 'memory' ? 1 : 6)
    await all.clock.advance(20)
    calls[0]!.resolve('second')
    await settled()
    random.chance = 1
    expect(await cache.getOrSet('k', load, '1s')).toBe('second')
    await all.clock.advance(990)
    random.chance = 0
    expect(await cache.getOrSet('k', load, '1s')).toBe('second')
    await settled()
    expect(calls).toHaveLength(2)
    calls[1]!.resolve('third')
    await settled()
    random.chance = 1
    expect(await cache.get('k')).toBe('third')
  })
})

test.each(['memory', 'shared'])('what is invalidated is not served as stale: %s', async (where) => {
  await using all = leased()
  await using caches = where === 'memory' ? own(all.clock) : all.node().caches
  const cache = caches.scope('s')
  const o = { ttl: '10s', grace: '10m', tags: ['t'] } as const
  const fails = async (): Promise<never> => Promise.reject(new Error('down'))
  const ends = [
    () => cache.invalidate('t'),
    () => cache.delete('k'),
    () => cache.clear(),
    () => caches.clear(),
    () => cache.drop('t').afterCommit!({ operationId: 'op', now: 0 }),
  ]
  for (const end of ends) {
    await all.during(cache.getOrSet('k', () => 1, o))
    await all.during(Promise.resolve(end()))
    await expect(all.during(cache.getOrSet('k', fails, o))).rejects.toThrow('down')
  }
})

describe('stale data', () => {
  const o = { ttl: '10s', grace: '10m', tags: ['t'] } as const

  test('is served at once to everybody, while one loads', async () => {
    await using all = leased()
    const [a, b] = [all.node().caches.scope('s'), all.node().caches.scope('s')]
    await a.getOrSet('k', () => 'old', o)
    await all.clock.advance(10_000)
    const load = vi.fn(async () => all.clock.sleep(100).then(() => 'new'))
    const reads = Array.from({ length: 10 }, async (_, i) =>
      (i % 2 ? a : b).getOrSet('k', load, { ...o, softTimeout: 0 }),
    )
    expect(new Set(await Promise.all(reads))).toEqual(new Set(['old']))
    expect(load).toHaveBeenCalledTimes(1)
    await all.clock.advance(100)
    await settled()
    expect([await a.get('k'), await b.get('k')]).toEqual(['new', 'new'])
  })

  test('is served after softTimeout, and the load goes on', async () => {
    await using all = leased()
    const cache = all.node().caches.scope('s')
    await cache.getOrSet('k', () => 'old', o)
    await all.during(cache.expire('t'))
    const begin = all.clock.monotonic()
    const load = async (): Promise<string> => all.clock.sleep(500).then(() => 'new')
    expect(await all.during(cache.getOrSet('k', load, { ...o, softTimeout: 100 }))).toBe('old')
    expect(all.clock.monotonic() - begin).toBe(100)
    await all.clock.advance(400)
    await settled()
    expect(await cache.get('k')).toBe('new')
  })

  test('keeps a loader that fails from being called: 1 s, then twice as long each time, at most 30 s', async () => {
    await using all = leased()
    const cache = all.node().caches.scope('s')
    await cache.getOrSet('k', () => 'old', o)
    await all.clock.advance(10_000)
    const atMs: number[] = []
    let fails = true
    const load = async (): Promise<string> => {
      atMs.push(all.clock.monotonic())
      if (fails) throw new Error('down')
      return 'new'
    }
    const gaps = (): number[] => atMs.slice(1).map((each, i) => each - atMs[i]!)
    while (atMs.length < 8) {
      expect(await cache.getOrSet('k', load, o)).toBe('old')
      await all.clock.advance(500)
    }
    expect(gaps()).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
    await all.clock.advance(30_000)
    fails = false
    expect(await cache.getOrSet('k', load, o)).toBe('new')
    // It begins anew.
    await all.clock.advance(10_000)
    fails = true
    atMs.length = 0
    while (atMs.length < 2) {
      expect(await cache.getOrSet('k', load, o)).toBe('new')
      await all.clock.advance(500)
    }
    expect(gaps()).toEqual([1_000])
  })

  test('that was invalidated meanwhile ends the wait of a loader that failed', async () => {
    await using all = leased()
    const cache = all.node().caches.scope('s')
    await cache.getOrSet('k', () => 'old', o)
    await all.during(cache.expire('t'))
    const failing = async (): Promise<never> => Promise.reject(new Error('down'))
    expect(await cache.getOrSet('k', failing, o)).toBe('old')
    await all.during(cache.invalidate('t'))
    const begin = all.clock.monotonic()
    expect(await all.during(cache.getOrSet('k', () => 'new', o))).toBe('new')
    expect(all.clock.monotonic()).toBe(begin)
  })
})
