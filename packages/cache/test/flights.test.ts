import { describe, expect, test, vi } from 'vitest'
import type { StandardSchemaV1 } from '@keelson/kernel'
import { away, leased, settled } from './leased.ts'

/** A loader that ends when it is told to. */
function held() {
  const calls: PromiseWithResolvers<string>[] = []
  return { calls, load: async (): Promise<string> => (calls.push(Promise.withResolvers()), calls.at(-1)!.promise) }
}

describe('a load of another node', () => {
  test('is waited for, and its message wakes', async () => {
    await using all = leased()
    const [a, b] = [await all.started(), await all.started()]
    const { calls, load } = held()
    const loads = a.caches.scope('s').getOrSet('k', load)
    await settled()
    const waits = b.caches.scope('s').lookup('k', load)
    await settled()
    calls[0]!.resolve('value')
    await settled()
    expect(await loads).toBe('value')
    expect(await waits).toMatchObject({ value: 'value', state: 'l2' })
    expect(calls).toHaveLength(1)
    expect(all.clock.monotonic()).toBe(0)
  })

  test('is looked for where no message comes', async () => {
    await using all = leased()
    const [a, b] = [all.node(), all.node()]
    const { calls, load } = held()
    const loads = a.caches.scope('s').getOrSet('k', load)
    await settled()
    const waits = b.caches.scope('s').getOrSet('k', load)
    await settled()
    calls[0]!.resolve('value')
    await loads
    await all.clock.advance(50)
    await settled()
    expect(await waits).toBe('value')
  })

  test('that is not stored is followed by that of who waits', async () => {
    await using all = leased()
    const [a, b] = [await all.started(), await all.started()]
    const { calls, load } = held()
    const loads = a.caches.scope('s').getOrSet('k', load, { tags: ({ length }) => [`t${length}`] })
    await settled()
    const waits = b.caches.scope('s').getOrSet('k', load)
    await settled()
    // Of a tag that only the value tells: its fill is refused, and nobody takes its lock over before.
    await all.during(a.caches.scope('s').invalidate('t3'))
    expect(calls).toHaveLength(1)
    calls[0]!.resolve('old')
    await settled()
    expect(await loads).toBe('old')
    expect(calls).toHaveLength(2)
    calls[1]!.resolve('new')
    expect(await all.during(waits)).toBe('new')
    expect(await a.caches.scope('s').get('k')).toBe('new')
  })

  test('holds its lock for as long as it takes, at most maxLoad', async () => {
    await using all = leased()
    const o = { lockTtl: '500ms', maxLoad: '5s' } as const
    const [a, b] = [all.node(o), all.node(o)]
    const { calls, load } = held()
    const loads = a.caches.scope('s').getOrSet('k', load)
    await settled()
    const waits = b.caches.scope('s').getOrSet('k', load)
    for (let i = 0; i < 100; i++) {
      await all.clock.advance(45)
      await settled(5)
    }
    expect(calls).toHaveLength(1)
    for (let i = 0; i < 30; i++) {
      await all.clock.advance(50)
      await settled(5)
    }
    expect(calls).toHaveLength(2)
    calls[0]!.resolve('old')
    calls[1]!.resolve('new')
    expect(await all.during(Promise.all([loads, waits]))).toEqual(['old', 'new'])
    a.line.calls.length = 0
    await all.clock.advance(1_000)
    expect(a.line.calls).not.toContain('extend')
  })

  test('is none of a caller that has left: its lock is free, nothing is loaded', async () => {
    await using all = leased()
    const [a, b] = [all.node(), all.node()]
    const sent = Promise.withResolvers<void>()
    a.line.after = (method) => (method === 'read' ? sent.promise : undefined)
    const gone = new AbortController()
    const load = vi.fn(() => 'never')
    const leaves = a.caches.scope('s').getOrSet('k', load, { signal: gone.signal })
    await settled()
    gone.abort(new Error('gone'))
    await expect(leaves).rejects.toThrow('gone')
    sent.resolve()
    await settled()
    expect(load).not.toHaveBeenCalled()
    expect(await b.caches.scope('s').getOrSet('k', () => 'value')).toBe('value')
    expect(all.clock.monotonic()).toBe(0)
  })

  test('is not waited for by a caller that has left', async () => {
    await using all = leased()
    const [a, b] = [all.node(), all.node()]
    const { load } = held()
    void a.caches.scope('s').getOrSet('k', load)
    await settled()
    const gone = new AbortController()
    const waits = b.caches.scope('s').getOrSet('k', load, { signal: gone.signal })
    await settled()
    gone.abort(new Error('gone'))
    await expect(waits).rejects.toThrow('gone')
    await all.clock.advance(50)
    await settled()
    b.line.calls.length = 0
    await all.clock.advance(500)
    await settled()
    expect(b.line.calls).toEqual([])
  })
})

describe('who joins a load', () => {
  test('everybody, until something is invalidated', async () => {
    await using all = leased()
    const cache = (await all.started()).caches.scope('s')
    await all.during(cache.invalidate('first'))
    await settled()
    const { calls, load } = held()
    const o = { tags: ['t'] }
    const early = [cache.lookup('k', load, o), cache.lookup('k', load, o)]
    await settled()
    const joined = cache.lookup('k', load, o)
    await settled()
    expect(calls).toHaveLength(1)
    await all.during(cache.invalidate('t'))
    const late = cache.lookup('k', load, o)
    await settled()
    expect(calls).toHaveLength(2)
    calls[0]!.resolve('old')
    calls[1]!.resolve('new')
    for (const each of [...early, joined]) expect(await each).toMatchObject({ value: 'old' })
    expect(await joined).toMatchObject({ state: 'joined' })
    expect(await late).toMatchObject({ value: 'new', state: 'loaded' })
  })

  test('nobody who knows of a stamp that came after it began', async () => {
    await using all = leased()
    const o = { coherence: 'bounded' } as const
    const [a, b] = [await all.started(o), await all.started(o)]
    const [ca, cb] = [a.caches.scope('s'), b.caches.scope('s')]
    a.line.hears = () => new Promise(() => {})
    const { calls, load } = held()
    const early = ca.getOrSet('k', load, { tags: ['t'] })
    await settled()
    const { stamp } = await cb.invalidate('t')
    const late = ca.at(stamp).getOrSet('k', load, { tags: ['t'] })
    await settled()
    expect(calls).toHaveLength(2)
    calls[0]!.resolve('old')
    calls[1]!.resolve('new')
    expect(await Promise.all([early, late])).toEqual(['old', 'new'])
  })

  test('nobody who comes once its lease is over', async () => {
    await using all = leased()
    const a = await all.started()
    const cache = a.caches.scope('s')
    const { calls, load } = held()
    const early = cache.getOrSet('k', load)
    await settled()
    a.line.before = (method) => (method === 'renew' || method === 'join' ? away() : undefined)
    await all.clock.advance(1_000)
    a.line.calls.length = 0
    const late = cache.getOrSet('k', load)
    await settled()
    expect(a.line.calls).toContain('read')
    calls[0]!.resolve('value')
    expect(await all.during(Promise.all([early, late]))).toEqual(['value', 'value'])
    expect(calls).toHaveLength(1)
  })

  test('nobody of a load that all have left', async () => {
    await using all = leased()
    const cache = (await all.started()).caches.scope('s')
    const { calls, load } = held()
    const gone = new AbortController()
    const leaves = cache.getOrSet('k', load, { signal: gone.signal })
    await settled()
    gone.abort(new Error('gone'))
    const late = cache.getOrSet('k', load)
    await expect(leaves).rejects.toThrow('gone')
    await settled()
    // Its loader does not look at its signal, and what it brings is right.
    calls[0]!.resolve('value')
    expect(await all.during(late)).toBe('value')
  })

  test('everybody, also where it waits for that of another node', async () => {
    await using all = leased()
    const [a, b] = [await all.started(), await all.started()]
    const cache = b.caches.scope('s')
    await all.during(cache.invalidate('first'))
    await settled()
    const { calls, load } = held()
    const loads = a.caches.scope('s').getOrSet('k', load)
    await settled()
    const waits = cache.lookup('k', load)
    await settled()
    // Of something else: whoever waits asks again in any case.
    await all.during(a.caches.scope('s').invalidate('t'))
    b.line.calls.length = 0
    const joins = cache.lookup('k', load)
    await settled()
    expect(b.line.calls).toEqual([])
    calls[0]!.resolve('value')
    for (const each of [loads, waits, joins]) await all.during<unknown>(each)
    expect(await joins).toMatchObject({ value: 'value', state: 'l2' })
    expect(calls).toHaveLength(1)
  })

  test('nobody who has left before', async () => {
    await using all = leased()
    const node = all.node()
    const cache = node.caches.scope('s')
    const load = vi.fn(() => 1)
    const gone = AbortSignal.abort(new Error('gone'))
    await expect(cache.getOrSet('k', load, { signal: gone })).rejects.toThrow('gone')
    await settled()
    expect(load).not.toHaveBeenCalled()
    expect(node.line.calls).toEqual([])
  })

  test('nobody once it has failed', async () => {
    await using all = leased()
    const cache = all.node().caches.scope('s')
    const error = new Error('down')
    await expect(cache.getOrSet('k', () => Promise.reject(error))).rejects.toBe(error)
    await settled()
    expect(await cache.getOrSet('k', () => 'value')).toBe('value')
  })
})

describe('memory does not keep', () => {
  test('what was read before an invalidation and answered behind it', async () => {
    await using all = leased()
    const [a, b] = [await all.started(), await all.started()]
    const [ca, cb] = [a.caches.scope('s'), b.caches.scope('s')]
    await all.during(cb.invalidate('first'))
    await settled()
    await cb.getOrSet('k', () => 'old', { tags: ['t'] })
    for (const read of [async () => ca.get('k'), async () => ca.getOrSet('k', () => 'never')]) {
      const answer = Promise.withResolvers<void>()
      a.line.after = (method) => (method === 'read' ? answer.promise : undefined)
      const reads = read()
      await settled()
      await all.during(cb.invalidate('t'))
      answer.resolve()
      a.line.after = () => undefined
      expect(await reads).toBe('old')
      expect(ca.peek('k')).toBeUndefined()
      await cb.getOrSet('k', () => 'old', { tags: ['t'] })
    }
  })

  test('what the store refused, or did not answer', async () => {
    await using all = leased()
    const a = await all.started()
    const cache = a.caches.scope('s')
    await all.during(cache.invalidate('first'))
    await settled()
    const { calls, load } = held()
    const refused = cache.getOrSet('refused', load, { tags: () => ['late'] })
    await settled()
    // The store's state is lost: nobody was told of anything.
    await all.server.lose('leased', 'state')
    calls[0]!.resolve('value')
    expect(await refused).toBe('value')
    expect(cache.peek('refused')).toBeUndefined()
    a.line.after = (method) => (method === 'fill' ? Promise.reject(new Error('reset')) : undefined)
    expect(await cache.getOrSet('unknown', () => 'value')).toBe('value')
    expect(cache.peek('unknown')).toBeUndefined()
  })
})

describe('what cannot be read is a miss', () => {
  test('an entry of another codec', async () => {
    await using all = leased()
    const [a, b] = [all.node({ codec: 'v8' }).caches.scope('s'), all.node().caches.scope('s')]
    await a.getOrSet('k', () => 'of v8')
    expect(await b.get('k')).toBeUndefined()
    expect(await b.getOrSet('k', () => 'of json')).toBe('of json')
    expect(await a.get('k')).toBeUndefined()
    const custom = { id: 'mine', encode: () => 'x', decode: () => 'of mine' }
    expect(await all.node({ codec: custom }).caches.scope('s').get('k')).toBeUndefined()
  })

  test('an entry that does not fit the schema, stale or not', async () => {
    await using all = leased()
    const schema: StandardSchemaV1<unknown, { v: number }> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) =>
          (value as { v?: unknown }).v === 2 ? { value: value as { v: number } } : { issues: [{ message: 'old' }] },
      },
    }
    const { caches } = all.node()
    const cache = caches.scope('s')
    const o = { grace: '1h', tags: ['t'] } as const
    for (const soft of [false, true]) {
      await all.during(cache.set('k', { v: 1 }, o))
      if (soft) await all.during(cache.expire('t'))
      expect(await all.during(cache.lookup('k', () => ({ v: 2 }), { ...o, schema }))).toMatchObject({
        value: { v: 2 },
        state: 'loaded',
      })
      const failing = async (): Promise<{ v: number }> => Promise.reject(new Error('down'))
      await all.during(cache.set('k', { v: 1 }, o))
      if (soft) await all.during(cache.expire('t'))
      await expect(all.during(cache.getOrSet('k', failing, { ...o, schema }))).rejects.toThrow('down')
    }
    const mismatches = caches.metrics().find(({ name }) => name === 'keelson_cache_schema_mismatch_total')
    expect(mismatches?.samples[0]?.value).toBe(4)
  })

  test.each(['throws', 'rejects'])('an entry at which the schema %s', async (how) => {
    await using all = leased()
    const schema: StandardSchemaV1<unknown, { tags: string[] }> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate(value) {
          const check = (): { value: { tags: string[] } } => {
            const known = value as { tags: string[] }
            return known.tags.length > 0 ? { value: known } : { value: { tags: [] } }
          }
          return how === 'throws' ? check() : Promise.resolve().then(check)
        },
      },
    }
    const { caches } = all.node()
    const cache = caches.scope('s')
    await all.during(cache.set('k', { before: 'the deploy' }))
    expect(await all.during(cache.getOrSet('k', () => ({ tags: ['new'] }), { schema }))).toEqual({ tags: ['new'] })
    const mismatches = caches.metrics().find(({ name }) => name === 'keelson_cache_schema_mismatch_total')
    expect(mismatches?.samples[0]?.value).toBe(1)
  })
})

test('many keys are one call, each with its own answer', async () => {
  await using all = leased()
  const a = all.node()
  const cache = a.caches.scope('s')
  const keys = [3, 1, 2].map((i) => ['n', i] as const)
  const load = async (missing: readonly unknown[]): Promise<string[]> => missing.map((key) => String(key))
  expect(await cache.getOrSetMany(keys, load)).toEqual(['n,3', 'n,1', 'n,2'])
  a.line.calls.length = 0
  expect(await cache.getMany(keys)).toEqual(['n,3', 'n,1', 'n,2'])
  expect(a.line.calls).toEqual(['read'])
})

test('stop() waits for loads', async () => {
  await using all = leased()
  const { caches } = await all.started()
  let isLoaded = false
  const loads = caches.scope('s').getOrSet('k', async () => all.clock.sleep(300).then(() => (isLoaded = true)))
  await settled()
  await all.during(caches.stop())
  expect(isLoaded).toBe(true)
  await loads
  expect(await caches.inspect()).toMatchObject({ running: false, lease: { held: false } })
})

test('stop() pays what is owed', async () => {
  await using all = leased()
  const { caches, line } = await all.started()
  line.before = (method) => (method === 'bump' ? Promise.reject(new Error('full')) : undefined)
  await expect(caches.scope('s').invalidate('t')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  line.before = () => undefined
  await all.during(caches.stop())
  expect((await caches.inspect()).owed.tags).toBe(0)
})
