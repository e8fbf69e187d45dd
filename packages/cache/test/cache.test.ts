import { virtualClock } from '@keelson/kernel/testing'
import { describe, expect, it, vi } from 'vitest'
import { prefix, type Cache, type Caches } from '@keelson/cache'
import { backends, type Backend } from './backends.ts'

/** A loader that ends when it is told to. */
function held<T>() {
  const calls: PromiseWithResolvers<T>[] = []
  const begun: (() => void)[] = []
  return {
    calls,
    load: async (): Promise<T> => {
      const call = Promise.withResolvers<T>()
      calls.push(call)
      for (const tell of begun.splice(0)) tell()
      return call.promise
    },
    /** Resolves when the n-th load runs. */
    async running(n = 1): Promise<void> {
      while (calls.length < n) await new Promise<void>((resolve) => begun.push(resolve))
    },
  }
}

describe.each(Object.entries(backends))('a cache over %s', (_, open) => {
  async function nodes<T>(work: (a: Cache, b: Cache, all: { a: Caches; b: Caches; backend: Backend }) => Promise<T>) {
    await using backend = await open()
    const [a, b] = [await backend.node(), await backend.node()]
    return await work(a.scope('acme'), b.scope('acme'), { a, b, backend })
  }

  it('loads once, and every node has it then', async () => {
    await nodes(async (a, b) => {
      const load = vi.fn(async () => ({ name: 'Ada', tags: ['x'] }))
      expect(await a.getOrSet(['user', 1], load)).toEqual({ name: 'Ada', tags: ['x'] })
      expect(await a.getOrSet(['user', 1], load)).toEqual({ name: 'Ada', tags: ['x'] })
      expect(await b.getOrSet(['user', 1], load)).toEqual({ name: 'Ada', tags: ['x'] })
      expect(await b.get(['user', 1])).toEqual({ name: 'Ada', tags: ['x'] })
      expect(await b.get(['user', '1'])).toBeUndefined()
      expect(load).toHaveBeenCalledTimes(1)
    })
  })

  it('hands out what nobody can change', async () => {
    await nodes(async (a, b) => {
      const loaded = { list: [1] }
      const first = await a.getOrSet('k', () => loaded)
      expect(() => first.list.push(2)).toThrow(TypeError)
      loaded.list.push(3)
      expect(await a.get('k')).toEqual({ list: [1] })
      expect(await b.get('k')).toEqual({ list: [1] })
      const bytes = await a.getOrSet('bytes', () => new Uint8Array([1, 2]))
      bytes[0] = 9
      expect(await a.get('bytes')).toEqual(new Uint8Array([1, 2]))
    })
  })

  it('joins all callers of all nodes to one load', async () => {
    await nodes(async (a, b) => {
      const { calls, load, running } = held<number>()
      const callers = Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? a : b).getOrSet('k', load))
      await running()
      calls[0]!.resolve(7)
      expect(new Set(await Promise.all(callers))).toEqual(new Set([7]))
      expect(calls).toHaveLength(1)
    })
  })

  it.each(['same', 'other'])(
    'an invalidation by the %s node during a load: later readers never get its value',
    async (which) => {
      await nodes(async (a, b) => {
        const { calls, load, running } = held<string>()
        const early = a.getOrSet('k', load, { tags: ['t'] })
        await running()
        await (which === 'same' ? a : b).invalidate('t')
        const late = a.getOrSet('k', load, { tags: ['t'] })
        await running(2)
        calls[0]!.resolve('old')
        calls[1]!.resolve('new')
        expect(await early).toBe('old')
        expect(await late).toBe('new')
        expect(await a.get('k')).toBe('new')
        expect(await b.get('k')).toBe('new')
      })
    },
  )

  it('a tag that only the value tells: what was invalidated during its load is not stored', async () => {
    await nodes(async (a, b) => {
      const { calls, load, running } = held<{ org: string }>()
      const early = a.getOrSet('k', load, { tags: ({ org }) => [`org:${org}`] })
      await running()
      await b.invalidate('org:1')
      calls[0]!.resolve({ org: '1' })
      expect(await early).toEqual({ org: '1' })
      expect(await a.get('k')).toBeUndefined()
      expect(await b.get('k')).toBeUndefined()
    })
  })

  it('an invalidation is heard by the other node before it resolves', async () => {
    await nodes(async (a, b) => {
      for (let i = 0; i < 20; i++) {
        await a.getOrSet(['user', i], () => 'old', { tags: ['all', `u${i}`] })
        await b.getOrSet(['user', i], () => 'never', { tags: ['all', `u${i}`] })
      }
      await a.invalidate('u3')
      expect(b.peek(['user', 3])).toBeUndefined()
      expect(await b.get(['user', 3])).toBeUndefined()
      expect(await b.get(['user', 4])).toBe('old')
      await b.delete(['user', 4])
      expect(await a.get(['user', 4])).toBeUndefined()
      await expect(b.invalidate(prefix('user', 5))).rejects.toMatchObject({ code: 'TAG_INVALID' })
      expect(() => b.drop(prefix('user', 5))).toThrow('at most "prefixDepth" parts, 1 (got 2)')
      await b.invalidate(prefix('user'))
      expect(await a.getMany([5, 6, 7].map((i) => ['user', i] as const))).toEqual([undefined, undefined, undefined])
    })
  })

  it('a tag as long as no key is refused, and the next invalidation works', async () => {
    await nodes(async (a, b) => {
      await a.getOrSet(['user', 1], () => 'old')
      const long = `s100000:${Array.from({ length: 100_000 }, () => Math.random().toString(36)[2]).join('')}`
      await expect(b.invalidate(`\u0001p${long}`)).rejects.toMatchObject({ code: 'TAG_INVALID' })
      await b.invalidate(prefix('user'))
      expect(await a.get(['user', 1])).toBeUndefined()
    })
  })

  it('clear() empties its scope alone, and that of all everything', async () => {
    await nodes(async (a, b, all) => {
      const other = all.a.scope('other')
      await a.getOrSet('k', () => 1)
      await other.getOrSet('k', () => 2)
      await b.clear()
      expect([await a.get('k'), await other.get('k')]).toEqual([undefined, 2])
      await all.b.clear()
      expect(await other.get('k')).toBeUndefined()
    })
  })

  it('set() is seen by everybody, delete() and has() too', async () => {
    await nodes(async (a, b) => {
      await a.getOrSet('k', () => 'old')
      await b.getOrSet('k', () => 'old')
      const { stamp } = await b.set('k', 'new', { tags: ['t'] })
      expect(stamp).not.toBe('')
      expect([await a.get('k'), await b.get('k')]).toEqual(['new', 'new'])
      expect(await a.has('k')).toBe(true)
      await a.invalidate('t')
      expect([await a.has('k'), await b.has('k')]).toEqual([false, false])
    })
  })

  it('a loader that throws: the same error for all, and nothing is stored', async () => {
    await nodes(async (a) => {
      const { calls, load, running } = held<number>()
      const callers = [a.getOrSet('k', load), a.getOrSet('k', load)]
      await running()
      const boom = new Error('boom')
      calls[0]!.reject(boom)
      expect(await Promise.allSettled(callers)).toEqual([
        { status: 'rejected', reason: boom },
        { status: 'rejected', reason: boom },
      ])
      expect(await a.getOrSet('k', () => 8)).toBe(8)
    })
  })

  it('soft expiry: stale data within grace while one caller loads', async () => {
    await nodes(async (a, b) => {
      await a.getOrSet('k', () => 'old', { ttl: '1m', grace: '1m', tags: ['t'] })
      await b.expire('t')
      const { calls, load, running } = held<string>()
      const loads = a.lookup('k', load, { ttl: '1m', grace: '1m' })
      await running()
      expect(await b.lookup('k', () => 'never')).toMatchObject({ value: 'old', state: 'stale', ttl: 0 })
      calls[0]!.resolve('new')
      expect(await loads).toMatchObject({ value: 'new', state: 'loaded' })
      expect(await b.lookup('k', () => 'never')).toMatchObject({ value: 'new' })
    })
  })

  it('a failing load with stale data answers it', async () => {
    await nodes(async (a, _, { backend }) => {
      const o = { ttl: '1m', grace: '1m', tags: ['t'] } as const
      await a.getOrSet('k', () => 'old', o)
      await a.expire('t')
      // However long this machine stands still, no moment passes for it.
      const c = (await backend.node({ clock: virtualClock() })).scope('acme')
      const load = vi.fn(() => Promise.reject(new Error('down')))
      expect(await c.lookup('k', load, o)).toMatchObject({ value: 'old', state: 'stale' })
      // The loader is left alone for a while.
      expect(await c.lookup('k', load, o)).toMatchObject({ value: 'old', state: 'stale' })
      expect(load).toHaveBeenCalledTimes(1)
    })
  })

  it('softTimeout 0 serves stale data at once, and loads behind it', async () => {
    await nodes(async (a) => {
      const o = { ttl: '1m', grace: '1m', tags: ['t'], softTimeout: 0 } as const
      await a.getOrSet('k', () => 'old', o)
      await a.expire('t')
      const { calls, load, running } = held<string>()
      expect(await a.getOrSet('k', load, o)).toBe('old')
      await running()
      calls[0]!.resolve('new')
      await vi.waitFor(async () => expect(await a.get('k')).toBe('new'), { timeout: 60_000 })
    })
  })

  it('what a loader says: tags, time to live, not to store, not modified', async () => {
    await nodes(async (a, b) => {
      await a.getOrSet('k', (ctx) => {
        ctx.tag('told')
        ctx.ttl('30s')
        return 1
      })
      const about = await b.lookup('k', () => 2)
      expect(about).toMatchObject({ value: 1, tags: ['told'] })
      expect(about.ttl).toBeLessThanOrEqual(30_000)
      await b.invalidate('told')
      expect(await a.get('k')).toBeUndefined()
      expect(await a.getOrSet('skipped', ({ skip }) => (skip(), 3))).toBe(3)
      expect(await a.get('skipped')).toBeUndefined()
      expect(await a.getOrSet('undefined', () => undefined)).toBeUndefined()
      expect(await a.has('undefined')).toBe(false)
      expect(await a.getOrSet('null', () => null)).toBeNull()
      expect(await b.has('null')).toBe(true)
      const o = { grace: '1m', tags: ['etag'] } as const
      await a.getOrSet('page', () => ({ body: 'x' }), o)
      await a.expire('etag')
      const kept = await a.lookup('page', (ctx) => ctx.notModified(), o)
      expect(kept).toMatchObject({ value: { body: 'x' }, state: 'loaded' })
      expect(await b.get('page')).toEqual({ body: 'x' })
    })
  })

  it('a value that JSON cannot carry is answered, and not stored', async () => {
    await nodes(async (a, b) => {
      const when = new Date()
      expect(await a.getOrSet('k', () => ({ when }))).toEqual({ when })
      expect(await b.get('k')).toBeUndefined()
      await expect(a.set('k', { when })).rejects.toMatchObject({ code: 'VALUE_UNSUPPORTED' })
    })
  })

  it("one caller's abort ends its own wait; the last one's the load", async () => {
    await nodes(async (a) => {
      const { calls, load, running } = held<number>()
      const [one, two] = [new AbortController(), new AbortController()]
      let signal: AbortSignal | undefined
      const loader = (ctx: { signal: AbortSignal }) => ((signal = ctx.signal), load())
      const first = a.getOrSet('k', loader, { signal: one.signal })
      const second = a.getOrSet('k', loader, { signal: two.signal })
      await running()
      one.abort(new Error('gone'))
      await expect(first).rejects.toThrow('gone')
      expect(signal?.aborted).toBe(false)
      two.abort(new Error('gone, too'))
      await expect(second).rejects.toThrow('gone, too')
      expect(signal?.aborted).toBe(true)
      calls[0]!.reject(new Error('aborted'))
      expect(await a.getOrSet('k', () => 2)).toBe(2)
    })
  })

  it('a load that takes longer than its timeout is LOAD_TIMEOUT', async () => {
    await nodes(async (a) => {
      let signal: AbortSignal | undefined
      const load = a.getOrSet('k', (ctx) => ((signal = ctx.signal), new Promise(() => {})), { timeout: 20 })
      await expect(load).rejects.toMatchObject({ code: 'LOAD_TIMEOUT', retryable: true })
      expect(signal?.aborted).toBe(true)
      expect(await a.getOrSet('k', () => 2)).toBe(2)
    })
  })

  it('fresh() knows one version from the next', async () => {
    await nodes(async (a, b) => {
      const { version } = await a.lookup('k', () => 1, { tags: ['t'] })
      expect([await a.fresh('k', version), await b.fresh('k', version)]).toEqual([true, true])
      await b.invalidate('t')
      expect(await a.fresh('k', version)).toBe(false)
      const again = await a.lookup('k', () => 1, { tags: ['t'] })
      expect(again.version).not.toBe(version)
      expect([await b.fresh('k', version), await b.fresh('k', again.version)]).toEqual([false, true])
    })
  })

  it('many keys: what is missing is loaded in one call', async () => {
    await nodes(async (a, b) => {
      const keys = [1, 2, 3, 4].map((i) => ['n', i] as const)
      await a.set(['n', 2], 'two')
      const load = vi.fn(async (missing: readonly (string | readonly (string | number)[])[]) =>
        missing.map((key) => `loaded ${key[1]}`),
      )
      expect(await b.getOrSetMany(keys, load)).toEqual(['loaded 1', 'two', 'loaded 3', 'loaded 4'])
      expect(load).toHaveBeenCalledTimes(1)
      expect(await a.getMany(keys)).toEqual(['loaded 1', 'two', 'loaded 3', 'loaded 4'])
      await expect(a.getOrSetMany([['n', 9]], async () => [])).rejects.toThrow('a value for each of 1 keys')
    })
  })

  it('wrap() is a function whose arguments are the key', async () => {
    await nodes(async (a, b) => {
      const load = vi.fn(async (id: number) => ({ id }))
      const user = a.wrap('user', load, { ttl: '1m' })
      expect([await user(1), await user(1), await user(2)]).toEqual([{ id: 1 }, { id: 1 }, { id: 2 }])
      expect(load).toHaveBeenCalledTimes(2)
      await b.invalidate(prefix('user'))
      await user(1)
      expect(load).toHaveBeenCalledTimes(3)
    })
  })

  it('at() never answers from before its stamp', async () => {
    await nodes(async (a, b) => {
      await a.getOrSet('k', () => 'old')
      await b.get('k')
      const { stamp } = await a.set('k', 'new')
      expect(await b.at(stamp).get('k')).toBe('new')
    })
  })

  it('tenants never see each other', async () => {
    await nodes(async (_, __, { a, b }) => {
      await a.scope('one').getOrSet('k', () => 1, { tags: ['t'] })
      await b.scope('two').getOrSet('k', () => 2, { tags: ['t'] })
      await a.scope('two').invalidate('t')
      expect([await b.scope('one').get('k'), await a.scope('two').get('k')]).toEqual([1, undefined])
      expect(() => a.scope('')).toThrow(expect.objectContaining({ code: 'SCOPE_INVALID' }))
    })
  })

  it('inspect() and metrics() tell what happened; after close() nothing is served', async () => {
    await nodes(async (a, _, all) => {
      await a.getOrSet('k', () => 1)
      await a.getOrSet('k', () => 1)
      await a.invalidate('x')
      const status = await all.a.inspect()
      expect(status).toMatchObject({ state: 'ok', running: true, store: { state: 'up' }, loads: { running: 0 } })
      const read = all.a.metrics().find(({ name }) => name === 'keelson_cache_reads_total')
      expect(read?.samples.reduce((sum, { value }) => sum + value, 0)).toBe(2)
      await all.a.close()
      await expect(a.getOrSet('k', () => 1)).rejects.toMatchObject({ code: 'CLOSED' })
      await expect(a.invalidate('x')).rejects.toMatchObject({ code: 'CLOSED' })
      expect(a.peek('k')).toBeUndefined()
    })
  })
})
