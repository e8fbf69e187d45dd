import { expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { createLimiter, memoryStore, type LimiterOptions, type LimiterStore } from '../../src/limiter/index.ts'

/** A limiter in virtual time, and its store's calls counted. */
function open(o: Partial<LimiterOptions> = {}) {
  const clock = virtualClock()
  const inner = memoryStore({ clock })
  let takes = 0
  const store: LimiterStore = {
    ...inner,
    take(...args) {
      takes++
      return inner.take(...args)
    },
  }
  const limiter = createLimiter({
    name: 'api',
    quotas: { name: 'minute', limit: 3, per: '1m' },
    store,
    clock,
    ...o,
  })
  return { clock, limiter, store, takes: () => takes }
}
const alice = { scope: 'acme', key: 'alice' }

test('as many as the limit pass in any window, and the refusal says when the next one does', async () => {
  const { clock, limiter } = open()
  const first = await limiter.take(alice)
  expect(first).toEqual({
    allowed: true,
    retryAfter: 0,
    source: 'store',
    exact: true,
    binding: 'minute',
    quotas: [{ name: 'minute', limit: 3, windowMs: 60_000, remaining: 2, resetMs: 60_000 }],
  })
  await clock.advance('10s')
  expect((await limiter.take({ ...alice, cost: 2 })).allowed).toBe(true)
  const refused = await limiter.take(alice)
  expect(refused).toMatchObject({ allowed: false, retryAfter: 50_000, source: 'store', exact: true })
  expect((await limiter.take({ scope: 'acme', key: 'bob' })).allowed).toBe(true)
  expect((await limiter.take({ scope: 'other', key: 'alice' })).allowed).toBe(true)
  await clock.advance(refused.retryAfter - 1)
  expect((await limiter.take(alice)).allowed).toBe(false)
  await clock.advance(1)
  expect((await limiter.take(alice)).allowed).toBe(true)
  expect((await limiter.take(alice)).retryAfter).toBe(10_000)
})

test('a denial is remembered until it ends: no round trip', async () => {
  const { clock, limiter, takes } = open()
  await limiter.take({ ...alice, cost: 3 })
  await limiter.take(alice)
  await clock.advance('10s')
  expect(await limiter.take(alice)).toMatchObject({
    allowed: false,
    retryAfter: 50_000,
    source: 'memo',
    exact: true,
    quotas: [{ remaining: 0, resetMs: 50_000 }],
  })
  expect(takes()).toBe(2)
  // Another cost is another question.
  expect((await limiter.take({ ...alice, cost: 2 })).source).toBe('store')
  await clock.advance('50s')
  expect(await limiter.take(alice)).toMatchObject({ allowed: true, source: 'store' })
})

test('a denial of a month is asked again after a minute: somebody may have reset it', async () => {
  const { clock, limiter, store } = open({ quotas: { name: 'month', limit: 1, per: '30d' } })
  const other = createLimiter({ name: 'api', quotas: { name: 'month', limit: 1, per: '30d' }, store, clock })
  await limiter.take(alice)
  expect((await limiter.take(alice)).retryAfter).toBe(30 * 86_400_000)
  await other.reset(alice)
  expect((await limiter.take(alice)).source).toBe('memo')
  await clock.advance('1m')
  expect(await limiter.take(alice)).toMatchObject({ allowed: true, source: 'store' })
})

test('two plans, one limiter: another limit is asked for at once', async () => {
  let plan = 'free'
  const limit = (s: { scope: string }): number => (s.scope === 'acme' && plan === 'pro' ? 1_000 : 2)
  const { limiter, takes } = open({ quotas: { name: 'minute', limit, per: '1m' } })
  for (const allowed of [true, true, false, false]) expect((await limiter.take(alice)).allowed).toBe(allowed)
  expect(takes()).toBe(3)
  plan = 'pro'
  expect(await limiter.take(alice)).toMatchObject({ allowed: true, quotas: [{ limit: 1_000, remaining: 997 }] })
  expect((await limiter.take({ scope: 'poor', key: 'x', cost: 2 })).allowed).toBe(true)
  expect((await limiter.take({ scope: 'poor', key: 'x' })).allowed).toBe(false)
})

test('all quotas admit, or nothing is counted', async () => {
  const { clock, limiter } = open({
    quotas: [
      { name: 'second', limit: 2, per: '1s' },
      { name: 'minute', limit: 3, per: '1m' },
    ],
  })
  await limiter.take({ ...alice, cost: 2 })
  const refused = await limiter.take(alice)
  expect(refused).toMatchObject({ allowed: false, binding: 'second', retryAfter: 1_000 })
  expect(refused.quotas.map(({ remaining }) => remaining)).toEqual([0, 1])
  await clock.advance('1s')
  expect(await limiter.take(alice)).toMatchObject({ allowed: true, binding: 'minute' })
  const { retryAfter, binding } = await limiter.take(alice)
  expect([retryAfter, binding]).toEqual([59_000, 'minute'])
})

test('a take of 0 is a peek, and a peek counts nothing', async () => {
  const { limiter } = open()
  for (let i = 0; i < 5; i++) {
    expect(await limiter.take({ ...alice, cost: 0 })).toMatchObject({ allowed: true, quotas: [{ remaining: 3 }] })
    expect(await limiter.peek({ ...alice, cost: 3 })).toMatchObject({ allowed: true })
    expect(await limiter.peek({ ...alice, cost: 4 })).toMatchObject({ allowed: false, retryAfter: Infinity })
  }
  await limiter.take({ ...alice, cost: 2 })
  expect(await limiter.peek({ ...alice, cost: 2 })).toMatchObject({ allowed: false, retryAfter: 60_000 })
})

test('what can never fit waits for ever, and is not remembered', async () => {
  const { limiter, takes } = open()
  for (let i = 0; i < 2; i++)
    expect(await limiter.take({ ...alice, cost: 4 })).toMatchObject({ allowed: false, retryAfter: Infinity })
  expect(takes()).toBe(2)
})

test('a refund gives back what was taken, once, and ends the memory of a denial', async () => {
  const { limiter } = open()
  const taken = await limiter.take({ ...alice, cost: 3 })
  const refused = await limiter.take(alice)
  await limiter.refund(refused)
  expect((await limiter.take(alice)).source).toBe('memo')
  await limiter.refund(taken, 1)
  expect(await limiter.take(alice)).toMatchObject({ allowed: true, quotas: [{ remaining: 0 }] })
  await limiter.refund(taken)
  await limiter.refund(taken)
  expect((await limiter.peek(alice)).quotas[0]!.remaining).toBe(2)
})

test('a refund of what has left its window gives nothing', async () => {
  for (const algorithm of ['sliding', 'gcra', 'fixed'] as const) {
    const { clock, limiter } = open({ quotas: { name: 'minute', limit: 3, per: '1m', algorithm } })
    const old = await limiter.take({ ...alice, cost: 3 })
    await clock.advance('1m')
    await limiter.take({ ...alice, cost: 3 })
    await limiter.refund(old)
    expect([algorithm, (await limiter.peek(alice)).quotas[0]!.remaining]).toEqual([algorithm, 0])
  }
})

test('a reset forgets a subject', async () => {
  const { limiter } = open()
  await limiter.take({ ...alice, cost: 3 })
  await limiter.take(alice)
  await limiter.reset(alice)
  expect(await limiter.take(alice)).toMatchObject({ allowed: true, quotas: [{ remaining: 2 }] })
})

test('the text of a key never reaches the store', async () => {
  const { limiter, store } = open()
  const seen: string[] = []
  const { take } = store
  store.take = (subject, ...rest) => {
    seen.push(subject)
    return take(subject, ...rest)
  }
  await limiter.take(alice)
  expect(seen).toEqual([expect.stringMatching(/^[\w-]{22}$/)])
})

test('a refund is seen by the next take, also where a refusal was on its way meanwhile', async () => {
  const clock = virtualClock()
  const limiter = createLimiter({ name: 'jobs', quotas: { name: 'm', limit: 1, per: '1m' }, clock })
  const subject = { scope: 'acme', key: 'export' }
  const first = await limiter.take(subject)
  await Promise.all([limiter.take(subject), limiter.refund(first)])
  expect(await limiter.take(subject)).toMatchObject({ allowed: true, source: 'store' })
  // What is refused after the refund is remembered as before.
  await limiter.take(subject)
  await clock.advance(1)
  await limiter.take(subject)
  expect(await limiter.take(subject)).toMatchObject({ allowed: false, source: 'memo' })
  await limiter.close()
})

test('a refusal whose reply comes behind a refund is not remembered', async () => {
  const clock = virtualClock()
  const memory = memoryStore({ clock })
  let replies: Promise<void> = Promise.resolve()
  const store: LimiterStore = {
    ...memory,
    async take(...args) {
      const answer = await memory.take(...args)
      await replies
      return answer
    },
  }
  const limiter = createLimiter({ name: 'jobs', quotas: { name: 'm', limit: 1, per: '1m' }, store, clock })
  const subject = { scope: 'acme', key: 'export' }
  const first = await limiter.take(subject)
  const held = Promise.withResolvers<void>()
  replies = held.promise
  const refused = limiter.take(subject)
  await new Promise(setImmediate)
  await limiter.refund(first)
  held.resolve()
  expect(await refused).toMatchObject({ allowed: false, source: 'store' })
  expect(await limiter.take(subject)).toMatchObject({ allowed: true, source: 'store' })
  await limiter.close()
})
