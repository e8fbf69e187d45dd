import { describe, expect, test } from 'vitest'
import type { Webhooks } from '@keelson/webhooks'
import type { Receiver } from '@keelson/webhooks/testing'
import { backends } from './backends.ts'
import { eventually, stage } from './stage.ts'

const scope = 'acme'
const { memory, Redis, Postgres } = backends
const over = Object.entries({ memory: memory!, Redis: Redis!, Postgres: Postgres! })

const countOf = async (webhooks: Webhooks, status: 'dead' | 'succeeded' | 'pending') =>
  (await webhooks.deliveries.list({ scope, status, limit: 200 })).items.length

/** Sends so many, which all die of the receiver's answer. */
async function allDead(webhooks: Webhooks, receiver: Receiver, count: number): Promise<void> {
  receiver.answer(500)
  await webhooks.sendMany(Array.from({ length: count }, (_, n) => ({ type: 'a', data: n, scope, id: `dead-${n}` })))
  await eventually('all are dead', async () => (await countOf(webhooks, 'dead')) === count)
  receiver.answer(200)
}

const dies = { retry: { schedule: [0] }, breaker: false } as const

describe.each(over)('over %s', (_, open) => {
  test('a redrive sends again no faster than it was told', async () => {
    const { webhooks, receiver } = await stage(open, { endpoint: dies })
    await webhooks.endpoints.create({ scope, url: receiver.url })
    await webhooks.start()
    await allDead(webhooks, receiver, 12)
    const before = receiver.received.length
    const beganMs = Date.now()
    await webhooks.deliveries.redrive({ scope, perSecond: 5 })
    await eventually('all have come again', () => receiver.received.length === before + 12)
    for (const [i, { at }] of receiver.received.slice(before).entries()) {
      // The first at once, then one each fifth of a second; ms of the store's clock may be cut off.
      expect(at.getTime() - beganMs).toBeGreaterThanOrEqual(i * 200 - 5)
    }
    await eventually('they are told', async () => (await countOf(webhooks, 'succeeded')) === 12)
    expect(receiver.received).toHaveLength(before + 12)
  })

  test('what is redriven takes a quarter of what its endpoint takes, and live ones go past it', async () => {
    // Slots are given by the store alone: nothing that takes long is a suspect.
    const dispatcher = { pollInterval: 50, slowAfter: '60s' } as const
    const { webhooks, receiver } = await stage(open, {
      dispatcher,
      endpoint: { ...dies, concurrency: 8, timeout: '60s' },
    })
    await webhooks.endpoints.create({ scope, url: receiver.url })
    await webhooks.start()
    await allDead(webhooks, receiver, 6)
    // Each success lets its lane take one more, up to 8.
    for (let n = 0; n < 8; n++) {
      await webhooks.send('a', n, { scope })
      await eventually('a success', async () => (await countOf(webhooks, 'succeeded')) === n + 1)
    }
    const end = Promise.withResolvers<number>()
    let inside = 0
    let most = 0
    receiver.answer(async ({ headers }) => {
      if (!String(headers['webhook-id']).startsWith('dead-')) return 200
      most = Math.max(most, ++inside)
      return end.promise.finally(() => inside--)
    })
    await webhooks.deliveries.redrive({ scope, perSecond: 10_000 })
    await eventually('a quarter is taken', () => inside === 2)
    for (let n = 0; n < 20; n++) {
      await webhooks.send('a', n, { scope })
      await eventually('a live one is delivered', async () => (await countOf(webhooks, 'succeeded')) === 9 + n)
    }
    expect([inside, most]).toEqual([2, 2])
    end.resolve(200)
    await eventually('all are delivered', async () => (await countOf(webhooks, 'succeeded')) === 8 + 20 + 6)
    expect(most).toBe(2)
  })

  test('an endpoint gets its burst, and then no more than its rate', async () => {
    const { webhooks, receiver } = await stage(open)
    await webhooks.endpoints.create({ scope, url: receiver.url, rate: { limit: 4, per: '1s' }, concurrency: 8 })
    await webhooks.endpoints.create({ scope, url: `${receiver.url}/free` })
    await webhooks.start()
    const beganMs = Date.now()
    await webhooks.sendMany(Array.from({ length: 12 }, (__, n) => ({ type: 'a', data: n, scope })))
    const of = (path: string) => receiver.received.filter((request) => request.path === path)
    await eventually('all of both', () => receiver.received.length === 24)
    for (const [i, { at }] of of('/').entries()) {
      expect(at.getTime() - beganMs).toBeGreaterThanOrEqual((i - 3) * 250 - 5)
    }
    expect(of('/free')).toHaveLength(12)
    await eventually('no attempt was spent', async () => {
      const { items } = await webhooks.deliveries.list({ scope, status: 'succeeded' })
      return items.length === 24 && items.every(({ attempts }) => attempts === 1)
    })
  })

  test('what is cancelled is not sent: one, those of an endpoint, all of a scope, however many', async () => {
    const { webhooks, receiver } = await stage(open)
    const at = async (path: string) => webhooks.endpoints.create({ scope, url: receiver.url + path })
    const [a, b] = [await at('/a'), await at('/b')]
    for (const { id } of [a, b]) await webhooks.endpoints.pause({ scope, id })
    await webhooks.start()
    const many = 1_100
    for (let n = 0; n < many; n += 550) {
      await webhooks.sendMany(Array.from({ length: 550 }, (__, i) => ({ type: 'a', data: n + i, scope })))
    }
    const pending = async () => (await webhooks.inspect()).counts.pending
    await eventually('all are routed', async () => (await pending()) === 2 * many)
    const [one] = (await webhooks.deliveries.list({ scope, endpoint: a.id })).items
    const cancel = webhooks.deliveries.cancel
    expect(await cancel({ scope: 'other' })).toBe(0)
    expect(await cancel({ scope, id: one!.id })).toBe(1)
    expect(await webhooks.deliveries.get({ scope, id: one!.id })).toMatchObject({ status: 'cancelled', reason: null })
    expect(await cancel({ scope, endpoint: a.id })).toBe(many - 1)
    expect(await pending()).toBe(many)
    expect(await cancel({ scope })).toBe(many)
    for (const { id } of [a, b]) await webhooks.endpoints.resume({ scope, id })
    await webhooks.send('a', 'last', { scope, id: 'last' })
    await receiver.waitFor(2)
    await eventually('nothing is left', async () => (await pending()) === 0)
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).toEqual(['last', 'last'])
  })

  test('what is under way can be cancelled: how it ended changes nothing, and the next one goes', async () => {
    const { webhooks, receiver } = await stage(open, { endpoint: { concurrency: 1, timeout: '60s' } })
    await webhooks.endpoints.create({ scope, url: receiver.url })
    const end = Promise.withResolvers<number>()
    receiver.answer(() => end.promise, { times: 1 })
    await webhooks.start()
    await webhooks.send('a', 1, { scope, id: 'first' })
    await receiver.waitFor(1)
    const { deliveries } = await webhooks.events.get({ scope, id: 'first' })
    expect(await webhooks.deliveries.cancel({ scope, id: deliveries[0]!.id })).toBe(1)
    await webhooks.send('a', 2, { scope, id: 'second' })
    await receiver.waitFor(2)
    end.resolve(200)
    const ref = { scope, id: deliveries[0]!.id }
    await eventually('the first is told', async () => {
      const { items } = await webhooks.deliveries.attempts(ref)
      return items.length === 1 && items[0]!.outcome === 'stale'
    })
    expect(await webhooks.deliveries.get(ref)).toMatchObject({ status: 'cancelled', attempts: 0 })
    await eventually('the second is delivered', async () => (await countOf(webhooks, 'succeeded')) === 1)
    expect(receiver.received).toHaveLength(2)
  })
})
