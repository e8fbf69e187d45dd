import { silentLogger } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { describe, expect, test, vi } from 'vitest'
import type { Bump, Bumped, CacheTier } from '@keelson/cache'
import { CacheError } from '../src/error.ts'
import { createInvalidations } from '../src/invalidations.ts'
import { away, leased, settled } from './leased.ts'

/** Invalidations over a store that answers what a test says. */
function answered(answer: Partial<Bump>, o: { strong?: boolean } = {}) {
  const clock = virtualClock()
  const bump: Bump = { stamp: 'e:5', peers: [], unknownMs: 0, ...answer }
  const invalidations = createInvalidations({
    shared: { up: true, call: async (fn) => fn({ bump: async () => bump } as unknown as CacheTier) },
    node: 'n1',
    strong: true,
    apply() {},
    clock,
    logger: silentLogger,
    ...o,
  })
  let isOver = false
  void invalidations.send([{ scope: 's', tags: ['t'] }]).then(() => (isOver = true))
  return {
    clock,
    invalidations,
    async over(): Promise<boolean> {
      await settled(3)
      return isOver
    },
  }
}
const peers = ['n2', 'n3'].map((node) => ({ node, leaseLeftMs: 400 }))

describe('an invalidation', () => {
  test('is over when each peer has acked it or something later', async () => {
    const { invalidations, over } = answered({ peers })
    expect(await over()).toBe(false)
    invalidations.heard('e:5', 'n2')
    expect(await over()).toBe(false)
    invalidations.heard('e:6', 'n3')
    expect(await over()).toBe(true)
  })

  test.each(['e:4', 'd:9', 'e2:9'])('is not acked by %s, and ends with the last lease', async (stamp) => {
    const { invalidations, over, clock } = answered({ peers })
    for (const { node } of peers) invalidations.heard(stamp, node)
    await clock.advance(399)
    expect(await over()).toBe(false)
    await clock.advance(1)
    expect(await over()).toBe(true)
  })

  test('waits for members that the store may have forgotten, whoever acks', async () => {
    const { invalidations, over, clock } = answered({ peers, unknownMs: 1_000 })
    for (const { node } of peers) invalidations.heard('e:5', node)
    await clock.advance(999)
    expect(await over()).toBe(false)
    await clock.advance(1)
    expect(await over()).toBe(true)
  })

  test("waits for nobody under 'bounded'", async () => {
    expect(await answered({ peers, unknownMs: 1_000 }, { strong: false }).over()).toBe(true)
  })
})

describe('debts', () => {
  /** Invalidations whose store is away until it is told. */
  function owing() {
    const paid: Bumped[] = []
    let isAway = true
    const invalidations = createInvalidations({
      shared: {
        up: true,
        async call(fn) {
          if (isAway) throw new CacheError('STORE_UNAVAILABLE', 'away')
          return fn({
            async bump(list: readonly Bumped[]) {
              paid.push(...list)
              return { stamp: 'e:1', peers: [], unknownMs: 0 }
            },
          } as unknown as CacheTier)
        },
      },
      node: 'n1',
      strong: true,
      apply() {},
      clock: virtualClock(),
      logger: silentLogger,
    })
    return {
      invalidations,
      paid,
      async fails(one: Bumped): Promise<void> {
        await expect(invalidations.send([one])).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      },
      back: () => void (isAway = false),
    }
  }

  test('are all paid, whenever and however they failed', async () => {
    const { invalidations, paid, fails, back } = owing()
    const list: Bumped[] = [
      { scope: 's', tags: ['t'] },
      { scope: 's', tags: ['t'], soft: true },
      { scope: 'other', tags: ['t'] },
      { scope: 's', tags: ['u'] },
      { tags: [], epoch: true },
    ]
    for (const one of list) await fails(one)
    expect(invalidations.owed).toBe(5)
    back()
    await invalidations.pay()
    expect(paid).toEqual([
      { scope: 's', tags: ['t', 'u'] },
      { scope: 's', tags: ['t'], soft: true },
      { scope: 'other', tags: ['t'] },
      { tags: [], epoch: true },
    ])
    expect(invalidations.owed).toBe(0)
  })

  test('that are too many are paid by a new epoch', async () => {
    const { invalidations, paid, fails, back } = owing()
    await fails({ scope: 's', tags: Array.from({ length: 10_001 }, (_, i) => `t${i}`) })
    expect(invalidations.owed).toBe(1)
    back()
    await invalidations.pay()
    expect(paid).toEqual([{ tags: [], epoch: true }])
  })
})

test('a debt that is being paid counts until it is known to have arrived', async () => {
  await using all = leased()
  const a = all.node()
  const cache = a.caches.scope('s')
  a.line.before = away
  await expect(cache.invalidate('t')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  const reply = Promise.withResolvers<void>()
  a.line.before = () => undefined
  a.line.after = (method) => (method === 'bump' ? reply.promise : undefined)
  await all.clock.advance(1_000)
  const read = cache.get('k')
  await settled()
  a.line.calls.length = 0
  const second = cache.get('l')
  await settled()
  expect((await a.caches.inspect()).owed.tags).toBe(1)
  expect(a.line.calls).toEqual([])
  reply.resolve()
  expect(await all.during(Promise.all([read, second]))).toEqual([undefined, undefined])
})

test('a node that invalidates serves nothing older from that moment on', async () => {
  await using all = leased()
  const cache = (await all.started()).caches.scope('s')
  await cache.getOrSet('k', () => 1, { tags: ['t'] })
  const invalidation = cache.invalidate('t')
  expect(cache.peek('k')).toBeUndefined()
  await all.during(invalidation)
})

test('set() invalidates as an invalidation does', async () => {
  await using all = leased()
  const [a, b] = [await all.started(), await all.started()]
  const [ca, cb] = [a.caches.scope('s'), b.caches.scope('s')]
  await all.during(ca.invalidate('first'))
  for (const cache of [ca, cb]) expect(await cache.getOrSet('k', () => 'old')).toBe('old')
  // Own memory: at once, and what was read meanwhile is gone behind it.
  const reply = Promise.withResolvers<void>()
  a.line.before = (method) => (method === 'put' ? reply.promise : undefined)
  const sets = ca.set('k', 'new')
  expect(ca.peek('k')).toBeUndefined()
  expect(await ca.get('k')).toBe('old')
  b.line.hears = () => new Promise(() => {})
  const { expiresInMs } = (await b.caches.inspect()).lease
  const begin = all.clock.monotonic()
  reply.resolve()
  await all.during(sets)
  expect(all.clock.monotonic() - begin).toBeGreaterThanOrEqual(expiresInMs)
  expect(await ca.get('k')).toBe('new')
})

test('a set() that fails is owed as an invalidation', async () => {
  await using all = leased()
  const a = await all.started()
  const cache = a.caches.scope('s')
  await cache.getOrSet('k', () => 'old')
  a.line.before = (method) => (method === 'put' || method === 'bump' ? away() : undefined)
  await expect(cache.set('k', 'new')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  expect((await a.caches.inspect()).owed.tags).toBe(1)
  expect(cache.peek('k')).toBeUndefined()
  a.line.before = () => undefined
  await all.clock.advance(2_000)
  expect(await all.during(cache.get('k'))).toBeUndefined()
})

test('invalidations that come while one is under way are one call, with each tag once', async () => {
  await using all = leased()
  const { caches, line } = await all.started()
  const peer = await all.started()
  const heard = vi.spyOn(peer.line.events!, 'bump')
  const answered = Promise.withResolvers<void>()
  line.after = (method) => (method === 'bump' ? answered.promise : undefined)
  const cache = caches.scope('acme')
  const under = cache.invalidate('a')
  await settled()
  const later = ['hot', 'b', 'hot', 'hot'].map((tag) => cache.invalidate(tag))
  await settled()
  later.push(cache.expire('hot'), caches.scope('umbrella').invalidate('hot'))
  await settled()
  expect(line.calls.filter((method) => method === 'bump')).toHaveLength(1)
  answered.resolve()
  await all.during(under)
  expect(new Set((await all.during(Promise.all(later))).map(({ stamp }) => stamp))).toHaveLength(1)
  expect(heard.mock.calls.map(([{ list }]) => list)).toEqual([
    [{ scope: 'acme', tags: ['a'] }],
    [
      { scope: 'acme', tags: ['hot', 'b'] },
      { scope: 'acme', tags: ['hot'], soft: true },
      { scope: 'umbrella', tags: ['hot'] },
    ],
  ])
})

test('one that waits behind a call that fails is refused with it, and owed', async () => {
  await using all = leased()
  const a = all.node()
  const cache = a.caches.scope('s')
  const lost = Promise.withResolvers<void>()
  a.line.before = (method) => (method === 'bump' ? lost.promise.then(away) : undefined)
  const invalidations = [cache.invalidate('a')]
  await settled()
  invalidations.push(cache.invalidate('b'))
  lost.resolve()
  for (const each of invalidations) await expect(each).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  expect((await a.caches.inspect()).owed.tags).toBe(2)
})
