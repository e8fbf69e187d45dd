import { tracingChannel } from 'node:diagnostics_channel'
import { expect, test } from 'vitest'
import { text } from '@keelson/kernel/prometheus'
import { virtualClock } from '@keelson/kernel/testing'
import { createLimiter, memoryStore, type LimiterStore } from '../../src/limiter/index.ts'

const alice = { scope: 's', key: 'secret' }

/** A store that refuses connections while `away`. */
function fragile(clock = virtualClock()) {
  const inner = memoryStore({ clock })
  const state = { away: false }
  const or =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (state.away) throw Object.assign(new Error('no connection'), { code: 'ECONNREFUSED' })
      return call(...args)
    }
  const store: LimiterStore = {
    take: or(inner.take),
    peek: or(inner.peek),
    refund: or(inner.refund),
    reset: or(inner.reset),
  }
  const limiter = createLimiter({ name: 'api', quotas: { name: 'minute', limit: 2, per: '1m' }, store, clock })
  return { clock, state, limiter }
}

test('decisions and failures are counted, by limiter and source', async () => {
  const { limiter, state, clock } = fragile()
  for (let i = 0; i < 4; i++) await limiter.take(alice)
  await limiter.peek(alice)
  state.away = true
  await limiter.take({ ...alice, key: 'other' })
  await limiter.take({ ...alice, key: 'other' })
  state.away = false
  await clock.advance('1s')
  await limiter.take({ ...alice, key: 'third' })
  const lines = text(limiter)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  expect(lines.toSorted()).toEqual([
    'keelson_resilience_limiter_decisions_total{allowed="false",limiter="api",source="memo"} 1',
    'keelson_resilience_limiter_decisions_total{allowed="false",limiter="api",source="store"} 1',
    'keelson_resilience_limiter_decisions_total{allowed="true",limiter="api",source="local"} 2',
    'keelson_resilience_limiter_decisions_total{allowed="true",limiter="api",source="store"} 3',
    'keelson_resilience_limiter_store_failures_total{limiter="api"} 2',
  ])
})

test('inspect says whether the store is there, and how many subjects are held', async () => {
  const { limiter, state, clock } = fragile()
  expect(await limiter.inspect()).toEqual({
    name: 'limiter',
    state: 'ok',
    counts: { counted: 0, denials: 0 },
    store: 'up',
    subjects: 0,
  })
  for (let i = 0; i < 3; i++) await limiter.take(alice)
  state.away = true
  await limiter.take({ ...alice, key: 'other' })
  expect(await limiter.inspect()).toMatchObject({
    state: 'degraded',
    counts: { counted: 1, denials: 1 },
    lastError: { code: 'STORE_UNAVAILABLE', message: 'no connection' },
    store: 'down',
    subjects: 2,
  })
  state.away = false
  await clock.advance('1s')
  expect(await limiter.inspect()).toMatchObject({ state: 'ok', store: 'up' })
  await limiter.close()
  expect(clock.pending()).toBe(0)
})

test('whoever listens hears of each take, and never of a key', async () => {
  const { limiter } = fragile()
  const heard: object[] = []
  const channel = tracingChannel('keelson:resilience:take')
  const listener = { asyncEnd: (message: object) => void heard.push({ ...message }) } as never
  channel.subscribe(listener)
  for (let i = 0; i < 4; i++) await limiter.take(alice)
  channel.unsubscribe(listener)
  expect(heard).toMatchObject([
    { limiter: 'api', allowed: true, source: 'store' },
    { limiter: 'api', allowed: true, source: 'store' },
    { limiter: 'api', allowed: false, source: 'store' },
    { limiter: 'api', allowed: false, source: 'memo' },
  ])
  expect(JSON.stringify(heard)).not.toContain('secret')
})

test('what is swept is done in the background between start and stop', async () => {
  const clock = virtualClock()
  const store = memoryStore({ clock })
  const limiter = createLimiter({ name: 'api', quotas: { name: 'q', limit: 2, per: '1s' }, store, clock })
  await limiter.take(alice)
  expect(store.size).toBe(1)
  await limiter.start()
  await limiter.start()
  await clock.advance('2m')
  expect(store.size).toBe(0)
  await limiter.stop()
  expect(clock.pending()).toBe(0)
  await limiter.take(alice)
  await clock.advance('1s')
  expect(await limiter.runOnce({ budget: '1s' })).toEqual({ done: true })
  expect(store.size).toBe(0)
})

test('a memory store forgets who has not come for longest, beyond its bound', async () => {
  const store = memoryStore({ maxSubjects: 2 })
  const limiter = createLimiter({ name: 'api', quotas: { name: 'q', limit: 1, per: '1h' }, store })
  for (const key of ['a', 'b', 'c']) await limiter.take({ scope: 's', key })
  expect(store.size).toBe(2)
  expect((await limiter.peek({ scope: 's', key: 'a' })).allowed).toBe(true)
  expect((await limiter.peek({ scope: 's', key: 'c' })).allowed).toBe(false)
})

test('what is no outage is not hidden: a mistake of the store is heard', async () => {
  const mistake = new Error('WRONGTYPE Operation against a key holding the wrong kind of value')
  const store: LimiterStore = { ...memoryStore(), take: () => Promise.reject(mistake) }
  const limiter = createLimiter({ name: 'api', quotas: { name: 'q', limit: 1, per: '1h' }, store })
  await expect(limiter.take(alice)).rejects.toBe(mistake)
})

test('a store that is days away from our clock still says which period it is; a wall clock that jumps changes nothing', async () => {
  const [ours, theirs] = [virtualClock(), virtualClock({ now: Date.UTC(2027, 5, 15, 12) })]
  const limiter = createLimiter({
    name: 'api',
    quotas: { name: 'day', limit: 2, calendar: 'day' },
    store: memoryStore({ clock: theirs }),
    clock: ours,
  })
  for (const jumpMs of [0, 3_600_000, -3_600_000]) {
    ours.jumpWall(jumpMs)
    const { allowed, source, quotas } = await limiter.take({ ...alice, key: String(jumpMs) })
    expect([allowed, source, quotas[0]!.remaining, quotas[0]!.resetMs]).toEqual([true, 'store', 1, 12 * 3_600_000])
  }
})
