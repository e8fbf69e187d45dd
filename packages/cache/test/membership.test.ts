import { expect, test } from 'vitest'
import { LEASE_MS, leased, settled } from './leased.ts'

test('what was read while no lease was held is not served under the next one', async () => {
  await using all = leased()
  const [a, b] = [await all.started(), await all.started()]
  const [ca, cb] = [a.caches.scope('s'), b.caches.scope('s')]
  a.line.before = (method) => (method === 'join' ? new Promise(() => {}) : undefined)
  a.line.events!.lost()
  await settled()
  await ca.getOrSet('k', () => 'old', { tags: ['t'] })
  expect(ca.peek('k')).toBeUndefined()
  await all.during(cb.invalidate('t'))
  a.line.before = () => undefined
  await all.clock.advance(3 * LEASE_MS)
  await settled()
  expect((await a.caches.inspect()).lease.held).toBe(true)
  expect(ca.peek('k')).toBeUndefined()
})

test('what was read between stop() and start() is not served after it', async () => {
  await using all = leased()
  const [a, b] = [await all.started(), await all.started()]
  const [ca, cb] = [a.caches.scope('s'), b.caches.scope('s')]
  await a.caches.stop()
  await ca.getOrSet('k', () => 'old', { tags: ['t'] })
  await all.during(cb.invalidate('t'))
  await a.caches.start()
  expect((await a.caches.inspect()).lease.held).toBe(true)
  expect(ca.peek('k')).toBeUndefined()
})

test('a subscription that is lost while its renewal is answered gives no lease', async () => {
  await using all = leased()
  const a = all.node()
  const answer = Promise.withResolvers<void>()
  a.line.after = (method) => (method === 'renew' ? answer.promise : undefined)
  const starts = a.caches.start()
  await settled()
  a.line.events!.lost()
  answer.resolve()
  a.line.before = (method) => (method === 'join' ? new Promise(() => {}) : undefined)
  await starts
  expect((await a.caches.inspect()).lease.held).toBe(false)
})

test('a subscription that is lost right after it was made is made again', async () => {
  await using all = leased()
  const a = all.node()
  const answer = Promise.withResolvers<void>()
  a.line.after = (method) => (method === 'join' ? answer.promise : undefined)
  const starts = a.caches.start()
  await settled()
  await all.server.cut()
  answer.resolve()
  await starts
  a.line.after = () => undefined
  await all.clock.advance(LEASE_MS)
  await settled()
  expect((await a.caches.inspect()).lease.held).toBe(true)
})

test('two losses in a row leave one membership, whose messages are heard', async () => {
  await using all = leased()
  const [a, b] = [await all.started(), await all.started()]
  const [ca, cb] = [a.caches.scope('s'), b.caches.scope('s')]
  // The first one of all waits for members that the store may have forgotten.
  await all.during(cb.invalidate('first'))
  const joins: PromiseWithResolvers<void>[] = []
  a.line.after = (method) => {
    if (method !== 'join') return undefined
    joins.push(Promise.withResolvers())
    return joins.at(-1)!.promise
  }
  a.line.events!.lost()
  await all.clock.advance(LEASE_MS / 5)
  await settled()
  a.line.events!.lost()
  await all.clock.advance(LEASE_MS / 5)
  await settled()
  for (const join of joins.toReversed()) {
    join.resolve()
    await settled()
  }
  a.line.after = () => undefined
  await all.clock.advance(LEASE_MS / 2)
  await settled()
  await all.clock.advance(LEASE_MS / 2)
  await settled()
  expect((await a.caches.inspect()).lease.held).toBe(true)
  await ca.getOrSet('k', () => 'old', { tags: ['t'] })
  expect(ca.peek('k')).toBe('old')
  const begin = all.clock.monotonic()
  await all.during(cb.invalidate('t'))
  expect(all.clock.monotonic()).toBe(begin)
  expect(ca.peek('k')).toBeUndefined()
})

test('a machine that stood still while a lease was renewed holds none', async () => {
  await using all = leased()
  const a = await all.started()
  const ca = a.caches.scope('s')
  await ca.getOrSet('k', () => 'old')
  expect(ca.peek('k')).toBe('old')
  a.line.after = (method) => {
    // The wall clock goes on, the monotonic one stands still with the machine.
    if (method === 'renew') all.clock.jumpWall(3_600_000)
    return undefined
  }
  await all.clock.advance(LEASE_MS / 2)
  await settled()
  expect(ca.peek('k')).toBeUndefined()
  expect((await a.caches.inspect()).lease.held).toBe(false)
  a.line.after = () => undefined
  await all.clock.advance(LEASE_MS)
  await settled()
  expect((await a.caches.inspect()).lease.held).toBe(true)
})

test('a long time between its making and its start costs nothing', async () => {
  await using all = leased()
  const a = all.node()
  all.clock.jumpWall(500)
  await a.caches.start()
  expect((await a.caches.inspect()).lease.held).toBe(true)
})

test('start() during stop() comes after it', async () => {
  await using all = leased()
  const a = await all.started()
  const stops = a.caches.stop()
  await Promise.all([stops, a.caches.start()])
  await settled()
  const { running, lease } = await a.caches.inspect()
  expect({ running, held: lease.held }).toEqual({ running: true, held: true })
})

test('a lease is counted from before its renewal was sent', async () => {
  await using all = leased()
  const a = all.node()
  a.line.after = (method) => (method === 'renew' ? all.clock.advance(LEASE_MS / 2) : undefined)
  await a.caches.start()
  expect((await a.caches.inspect()).lease.expiresInMs).toBe(LEASE_MS / 2)
})

test('a lease ends at the hit, though no timer has told so', async () => {
  await using all = leased()
  let stoodStillMs = 0
  const clock = { ...all.clock, monotonic: () => all.clock.monotonic() + stoodStillMs }
  const cache = (await all.started({ clock })).caches.scope('s')
  await cache.getOrSet('k', () => 1)
  expect(cache.peek('k')).toBe(1)
  stoodStillMs = LEASE_MS
  expect(cache.peek('k')).toBeUndefined()
})

test('an ack that comes before the reply counts', async () => {
  await using all = leased()
  const [a, b] = [await all.started(), await all.started()]
  await all.during(a.caches.scope('s').invalidate('first'))
  await all.clock.advance(LEASE_MS / 2)
  await settled()
  expect((await b.caches.inspect()).lease.held).toBe(true)
  a.line.after = (method) => (method === 'bump' ? settled(10) : undefined)
  const begin = all.clock.monotonic()
  await all.during(a.caches.scope('s').invalidate('t'))
  expect(all.clock.monotonic()).toBe(begin)
})

test('a peer that does not ack is waited for until its lease is over', async () => {
  await using all = leased()
  const [a, b] = [await all.started(), await all.started()]
  await all.during(a.caches.scope('s').invalidate('first'))
  await settled()
  const { expiresInMs } = (await b.caches.inspect()).lease
  b.line.hears = () => new Promise(() => {})
  const begin = all.clock.monotonic()
  await all.during(a.caches.scope('s').invalidate('t'))
  expect(all.clock.monotonic() - begin).toBeGreaterThanOrEqual(expiresInMs)
})

test('when the store has forgotten its members, an invalidation waits for those that it may have had', async () => {
  await using all = leased()
  const [a, b] = [await all.started(), await all.started()]
  await all.during(a.caches.scope('s').invalidate('first'))
  expect(await b.caches.scope('s').get('k')).toBeUndefined()
  await all.server.lose('leased', 'members')
  const begin = all.clock.monotonic()
  await all.during(a.caches.scope('s').invalidate('t'))
  expect(all.clock.monotonic() - begin).toBeGreaterThanOrEqual(LEASE_MS)
})

test('a renewal that is answered after stop() gives no lease', async () => {
  await using all = leased()
  const a = await all.started()
  const answer = Promise.withResolvers<void>()
  a.line.after = (method) => (method === 'renew' ? answer.promise : undefined)
  await all.clock.advance(LEASE_MS / 2)
  const stops = a.caches.stop()
  await settled()
  answer.resolve()
  await stops
  expect((await a.caches.inspect()).lease.held).toBe(false)
})
