import { silentLogger } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { describe, expect, test, vi } from 'vitest'
import type { CacheTier, Member, MemberEvents } from '@keelson/cache'
import { createMembership } from '../src/membership.ts'
import { away, LEASE_MS, leased, settled } from './leased.ts'

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

test.each([3_600_000, -3_600_000])(
  'a wall clock that moved by %d ms while a lease was renewed: none is held',
  async (byMs) => {
    await using all = leased()
    const a = await all.started()
    const ca = a.caches.scope('s')
    await ca.getOrSet('k', () => 'old')
    expect(ca.peek('k')).toBe('old')
    a.line.after = (method) => {
      // The wall clock goes on, the monotonic one stands still with the machine.
      if (method === 'renew') all.clock.jumpWall(byMs)
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
  },
)

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

test('a lease is counted from before its renewal was sent, and ends before the one that the server counts', async () => {
  await using all = leased()
  const a = all.node()
  a.line.after = (method) => (method === 'renew' ? all.clock.advance(LEASE_MS / 2) : undefined)
  await a.caches.start()
  expect((await a.caches.inspect()).lease.expiresInMs).toBe(LEASE_MS / 2 - 3 - LEASE_MS * 0.002)
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

describe('a lease that lapses', () => {
  test('is a loss: what was invalidated until the next one is not served under it', async () => {
    await using all = leased()
    const [a, b] = [await all.started(), all.node()]
    const [ca, cb] = [a.caches.scope('s'), b.caches.scope('s')]
    await all.during(cb.invalidate('first'))
    await ca.getOrSet('k', () => 'old', { tags: ['t'] })
    a.line.before = (method) => (method === 'renew' ? away() : undefined)
    await all.clock.advance(2 * LEASE_MS)
    // Nobody holds a lease, so nobody is told.
    await all.during(cb.invalidate('t'))
    a.line.before = () => undefined
    await all.clock.advance(LEASE_MS)
    await settled()
    expect((await a.caches.inspect()).lease.held).toBe(true)
    expect(ca.peek('k')).toBeUndefined()
  })

  test('in a pause of the process is had again with the first renewal', async () => {
    await using all = leased()
    let pausedMs = 0
    const clock = {
      ...all.clock,
      now: () => all.clock.now() + pausedMs,
      monotonic: () => all.clock.monotonic() + pausedMs,
    }
    const { caches } = await all.started({ clock })
    const cache = caches.scope('s')
    await cache.getOrSet('k', () => 1)
    pausedMs = 2 * LEASE_MS
    await all.clock.advance(LEASE_MS / 3 + 1)
    await settled()
    expect((await caches.inspect()).lease.held).toBe(true)
    expect(cache.peek('k')).toBeUndefined()
  })

  test('while its renewal is under way is a loss, too', async () => {
    await using all = leased()
    const [a, b] = [await all.started(), all.node()]
    const [ca, cb] = [a.caches.scope('s'), b.caches.scope('s')]
    await all.during(cb.invalidate('first'))
    // All is told again from here on: the memory is as old as the lease.
    await all.clock.advance(LEASE_MS / 3)
    await settled()
    await ca.getOrSet('k', () => 'old', { tags: ['t'] })
    const { expiresInMs } = (await a.caches.inspect()).lease
    const sending = Promise.withResolvers<void>()
    let sentMs = 0
    a.line.before = (method) => {
      if (method !== 'renew') return undefined
      sentMs ||= all.clock.monotonic()
      return sending.promise
    }
    await all.clock.advance(expiresInMs + 10)
    await settled()
    await all.during(cb.invalidate('t'))
    sending.resolve()
    await settled()
    // Counted from when it was sent, the new lease would last for a while.
    expect(all.clock.monotonic()).toBeLessThan(sentMs + LEASE_MS)
    expect(ca.peek('k')).toBeUndefined()
  })

  test('by a renewal that fails behind its end frees the memory at once', async () => {
    await using all = leased()
    const a = await all.started()
    await a.caches.scope('s').getOrSet('k', () => 1)
    a.line.before = (method) => (method === 'renew' ? new Promise(() => {}) : undefined)
    // The renewal is sent after a third, and given up a lease later.
    await all.clock.advance(1.34 * LEASE_MS)
    expect((await a.caches.inspect()).l1.entries).toBe(0)
  })
})

test('a lost subscription and stop() free the memory at once', async () => {
  await using all = leased()
  const a = await all.started()
  const entries = async (): Promise<number> => (await a.caches.inspect()).l1.entries
  await a.caches.scope('s').getOrSet('k', () => 1)
  expect(await entries()).toBe(1)
  a.line.before = (method) => (method === 'join' ? new Promise(() => {}) : undefined)
  a.line.events!.lost()
  expect(await entries()).toBe(0)
  a.line.before = () => undefined
  await all.clock.advance(2 * LEASE_MS)
  await settled()
  await a.caches.scope('s').getOrSet('k', () => 1)
  expect(await entries()).toBe(1)
  await a.caches.stop()
  expect(await entries()).toBe(0)
})

test('a store with a new epoch: nothing of the old one is served', async () => {
  await using all = leased()
  const warn = vi.fn()
  const a = await all.started({ logger: { ...silentLogger, warn } })
  const cache = a.caches.scope('s')
  await cache.getOrSet('k', () => 1)
  await all.server.lose('leased', 'state')
  await all.clock.advance(LEASE_MS / 2)
  await settled()
  expect((await a.caches.inspect()).lease.held).toBe(true)
  expect(cache.peek('k')).toBeUndefined()
  expect(warn.mock.calls.map((call) => call[1])).toEqual(['cache.epoch.new'])
})

test('who cannot rejoin tries ten times a lease, not more', async () => {
  await using all = leased()
  const a = await all.started()
  let tries = 0
  // Without an end, so that a cache that does not wait ends this test.
  a.line.before = () => (++tries < 50 ? away() : new Promise(() => {}))
  a.line.events!.lost()
  await all.clock.advance(LEASE_MS / 10 - 1)
  expect(tries).toBe(0)
  await all.clock.advance(LEASE_MS)
  expect(tries).toBeGreaterThanOrEqual(9)
  expect(tries).toBeLessThanOrEqual(11)
})

test('a renewal that is answered behind an outage gives no lease', async () => {
  await using all = leased()
  const a = await all.started()
  const answer = Promise.withResolvers<void>()
  a.line.after = (method) => (method === 'renew' ? answer.promise : undefined)
  await all.clock.advance(LEASE_MS / 2)
  a.line.before = (method) => (method === 'ping' ? undefined : away())
  expect(await a.caches.scope('s').get('k')).toBeUndefined()
  const { expiresInMs } = (await a.caches.inspect()).lease
  answer.resolve()
  await settled()
  expect((await a.caches.inspect()).lease.expiresInMs).toBe(expiresInMs)
})

describe('one membership', () => {
  /** A tier of which a test has the members' ends in its hands. */
  async function members(joined: (n: number) => Promise<unknown> = async () => {}) {
    const clock = virtualClock()
    const said: string[] = []
    const events: MemberEvents[] = []
    const join = async (_: string, { on }: { on: MemberEvents }): Promise<Member> => {
      const n = events.push(on)
      await joined(n)
      return {
        renew: async () => ({ epoch: 'e' }),
        ack: ({ stamp }) => void said.push(`acked ${stamp}`),
        leave: async () => void said.push(`${n} left`),
      }
    }
    const membership = createMembership({
      tier: { join } as unknown as CacheTier,
      shared: { up: true, call: async () => Promise.reject(new Error('not used')) },
      gate: { open: true, shut() {}, async pass() {} },
      node: 'n1',
      leaseMs: LEASE_MS,
      on: { bump: ({ stamp }) => void said.push(`applied ${stamp}`), filled() {}, ack() {} },
      forget() {},
      clock,
      logger: silentLogger,
    })
    const starts = membership.start()
    return { clock, said, events, membership, starts }
  }
  const bump = (stamp: string) => ({ stamp, from: 'n2', list: [] })

  test('applies an invalidation before it acks', async () => {
    const { said, events, membership, starts } = await members()
    await starts
    events[0]!.bump(bump('e:1'))
    expect(said).toEqual(['applied e:1', 'acked e:1'])
    await membership.stop()
  })

  test('does not listen to the subscription before', async () => {
    const { clock, said, events, membership, starts } = await members()
    await starts
    events[0]!.lost()
    await clock.advance(LEASE_MS / 2)
    expect(clock.monotonic()).toBeLessThan(membership.lease.endsMs)
    events[0]!.bump(bump('e:1'))
    events[0]!.lost()
    expect(clock.monotonic()).toBeLessThan(membership.lease.endsMs)
    expect(said).toEqual(['1 left'])
    await membership.stop()
  })

  test('leaves what it has joined too late', async () => {
    const late = Promise.withResolvers<void>()
    const { clock, said, membership, starts } = await members((n) => (n === 1 ? late.promise : Promise.resolve()))
    await clock.advance(LEASE_MS)
    await starts
    await clock.advance(LEASE_MS)
    late.resolve()
    await settled()
    expect(said).toEqual(['1 left'])
    await membership.stop()
    expect(said).toEqual(['1 left', '2 left'])
  })
})
