import { describe, expect, test, vi } from 'vitest'
import { away, LEASE_MS, leased, settled, type Leased, type LeasedNode } from './leased.ts'

/** A loader that ends when it is told to; it answers its own number. */
function held() {
  const calls: PromiseWithResolvers<string>[] = []
  const load = async (): Promise<string> => {
    calls.push(Promise.withResolvers())
    return calls.at(-1)!.promise
  }
  return { calls, load, end: (n: number) => calls[n]!.resolve(`load ${n}`) }
}

async function cutOff(all: Leased): Promise<LeasedNode> {
  const node = await all.started()
  node.line.before = away
  expect(await node.caches.scope('s').get('any')).toBeUndefined()
  await all.clock.advance(2 * LEASE_MS)
  return node
}

describe('while the store is away', () => {
  test('a reader that begins during a load never gets its value, however it queues', async () => {
    await using all = leased()
    const node = all.node()
    const cache = node.caches.scope('s')
    const { calls, load, end } = held()
    node.line.before = () => new Promise(() => {})
    // Both ask the store before it is known to be away, the third one after.
    const first = cache.getOrSet('k', load)
    await settled()
    const second = cache.getOrSet('k', load)
    await settled()
    await all.clock.advance(300)
    const third = cache.getOrSet('k', load)
    await settled()
    expect(calls).toHaveLength(1)
    end(0)
    await settled()
    expect(calls).toHaveLength(2)
    const late = cache.getOrSet('k', load)
    await settled()
    end(1)
    await settled()
    end(2)
    expect(await Promise.all([first, second, third, late])).toEqual(['load 0', 'load 1', 'load 1', 'load 2'])
  })

  test("one caller's abort ends nobody else's wait", async () => {
    await using all = leased()
    const cache = (await cutOff(all)).caches.scope('s')
    const { load, end } = held()
    const gone = new AbortController()
    const first = cache.getOrSet('k', load)
    await settled()
    const second = cache.getOrSet('k', load, { signal: gone.signal })
    await settled()
    const third = cache.getOrSet('k', load)
    await settled()
    gone.abort(new Error('gone'))
    await expect(second).rejects.toThrow('gone')
    end(0)
    await settled()
    end(1)
    expect(await Promise.all([first, third])).toEqual(['load 0', 'load 1'])
  })

  test('nothing is loaded for callers that have left', async () => {
    await using all = leased()
    const cache = (await cutOff(all)).caches.scope('s')
    const { calls, load, end } = held()
    const gone = new AbortController()
    const first = cache.getOrSet('k', load)
    await settled()
    const second = cache.getOrSet('k', load, { signal: gone.signal })
    gone.abort(new Error('gone'))
    await expect(second).rejects.toThrow('gone')
    end(0)
    await first
    await settled()
    expect(calls).toHaveLength(1)
  })

  test('no entry is refreshed before its time', async () => {
    await using all = leased()
    // Chance picks everybody.
    const node = await all.started({ early: 10, random: () => 0 })
    const cache = node.caches.scope('s')
    await cache.getOrSet(
      'k',
      async () => {
        await all.clock.advance(100)
        return 1
      },
      '10s',
    )
    expect(cache.peek('k')).toBe(1)
    node.line.before = away
    const load = vi.fn(() => 2)
    expect(await cache.getOrSet('k', load)).toBe(1)
    await settled()
    expect(load).not.toHaveBeenCalled()
  })

  test('nothing is kept in memory', async () => {
    await using all = leased()
    const node = await all.started()
    node.line.before = (method) => (method === 'read' ? away() : undefined)
    expect(await node.caches.scope('s').lookup('k', () => 1)).toMatchObject({ value: 1, state: 'bypass' })
    expect((await node.caches.inspect()).l1.entries).toBe(0)
  })

  test('what joined callers get cannot be changed by any of them', async () => {
    await using all = leased()
    const cache = (await cutOff(all)).caches.scope('s')
    const [one, two] = await Promise.all([cache.getOrSet('k', () => [1]), cache.getOrSet('k', () => [1])])
    expect(() => one.push(2)).toThrow(TypeError)
    expect(two).toEqual([1])
  })
})
