import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, test } from 'vitest'
import { context } from '@keelson/kernel'
import type { HandlerOperation, WebhookEvent } from '@keelson/webhooks'
import { backends } from './backends.ts'
import { eventually, stage } from './stage.ts'

const scope = 'acme'
const { memory, Redis, Postgres } = backends
const over = Object.entries({ memory: memory!, Redis: Redis!, Postgres: Postgres! })

describe.each(over)('handlers over %s', (_, open) => {
  test('get what they listen to, as it was sent and in its context', async () => {
    const { webhooks } = await stage(open)
    const calls: { event: WebhookEvent; op: HandlerOperation; context: unknown }[] = []
    webhooks.handle('mail', { types: ['order.*'], scope }, (event, op) => {
      calls.push({ event, op, context: context.get() })
    })
    await webhooks.start()
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await webhooks.send('invoice.paid', 1, { scope })
    await webhooks.send('order.created', 1, { scope: 'other' })
    const { id } = await context.run({ correlationId: 'c-1', traceparent, principal: { id: 'u1' } }, async () =>
      webhooks.send('order.created', { a: ['ü'] }, { scope, channel: 'web', subject: 'u7', key: 'k' }),
    )
    await eventually('the call', () => calls.length > 0)
    expect(calls).toHaveLength(1)
    const { event, op, context: inside } = calls[0]!
    expect(event).toEqual({
      id,
      scope,
      type: 'order.created',
      timestamp: expect.any(Date),
      data: { a: ['ü'] },
      channel: 'web',
      subject: 'u7',
      key: 'k',
      correlationId: 'c-1',
    })
    expect(op).toMatchObject({ dedupeKey: `mail:${id}`, attempt: 1 })
    expect(op.signal.aborted).toBe(false)
    // Of the publisher only what belongs to the event: no principal, no deadline.
    expect(inside).toEqual({ tenant: scope, correlationId: 'c-1', traceparent })
  })

  test('run outside of whatever request wakes them', async () => {
    const { webhooks } = await stage(open)
    const ofTheApplication = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    webhooks.handle('mail', { types: ['order.*'], scope }, () => void seen.push(ofTheApplication.getStore()))
    await webhooks.start()
    for (const request of ['a', 'b'])
      await ofTheApplication.run(request, () => webhooks.send('order.created', 1, { scope }))
    await eventually('both calls', () => seen.length >= 2)
    expect(seen).toEqual([undefined, undefined])
  })

  test('what throws comes again, as late as it asks, and is dead in the end', async () => {
    const { webhooks, log } = await stage(open)
    const attempts: number[] = []
    const thrown = [
      new Error('nul \0 and half \ud800'),
      Object.create(null) as object,
      Object.assign(new Error('later'), { retryAfter: 300 }),
    ]
    webhooks.handle('mail', { types: ['**'] }, async (__, { attempt }) => {
      attempts.push(attempt)
      throw thrown[attempt - 1] ?? 'a text'
    })
    await webhooks.start()
    const dead: unknown[] = []
    webhooks.on('delivery.dead', (notice) => dead.push(notice))
    await webhooks.send('order.created', 1, { scope })
    await eventually('the end', () => dead.length > 0)
    expect(attempts).toEqual([1, 2, 3, 4])
    const [delivery] = (await webhooks.deliveries.list({ scope, endpoint: 'fn:mail' })).items
    expect(delivery).toMatchObject({ status: 'dead', reason: 'exhausted', attempts: 4, endpoint: 'fn:mail' })
    const { items } = await webhooks.deliveries.attempts({ scope, id: delivery!.id })
    expect(items.map(({ outcome }) => outcome)).toEqual(['status', 'status', 'status', 'status'])
    expect(items.map(({ error }) => error)).toMatchObject([
      expect.stringContaining('nul'),
      expect.any(String),
      'later',
      'a text',
    ])
    expect(items[3]!.at.getTime() - items[2]!.at.getTime()).toBeGreaterThanOrEqual(299)
    expect(log.some(({ message }) => message === 'webhooks.delivery_dead')).toBe(true)
    // Nothing of a handler is a receiver that could be down.
    expect(await webhooks.endpoints.get({ scope, id: 'fn:mail' })).toMatchObject({
      state: 'active',
      breaker: false,
      disableAfter: false,
      health: { breaker: 'closed' },
    })
    expect((await webhooks.endpoints.list({ scope })).items).toEqual([])
  })

  test('one that takes too long is told so and counts as failed, though it goes on', async () => {
    const { webhooks } = await stage(open)
    const reasons: unknown[] = []
    webhooks.handle(
      'slow',
      { types: ['**'], timeout: 50, retry: { schedule: [0, 0] } },
      async (__, { signal, attempt }) => {
        if (attempt === 2) return
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => {
            reasons.push(signal.reason)
            resolve()
          })
        })
      },
    )
    await webhooks.start()
    const { id } = await webhooks.send('order.created', 1, { scope })
    const delivery = await eventually('success', async () => {
      return (await webhooks.deliveries.list({ scope, event: id, status: 'succeeded' })).items[0]
    })
    expect(delivery.attempts).toBe(2)
    const { items } = await webhooks.deliveries.attempts({ scope, id: delivery.id })
    expect(items.map(({ outcome }) => outcome)).toEqual(['timeout', 'success'])
    expect(String(reasons[0])).toMatch(/timeout/)
  })

  test('a node without the function routes to it, one that has it delivers; its lane is paused as others are', async () => {
    const { webhooks, open: another } = await stage(open)
    const worker = another()
    const seen: unknown[] = []
    worker.handle('mail', { types: ['**'], concurrency: 2 }, ({ data }) => void seen.push(data))
    await worker.start()
    await worker.endpoints.pause({ scope, id: 'fn:mail' })
    await worker.stop()
    // It knows of the handler from the store alone.
    await webhooks.start()
    await webhooks.send('order.created', 1, { scope })
    const waiting = await eventually('a delivery', async () => (await webhooks.deliveries.list({ scope })).items[0])
    expect(waiting).toMatchObject({ endpoint: 'fn:mail', held: 'paused', status: 'pending' })
    await worker.start()
    await webhooks.endpoints.resume({ scope, id: 'fn:mail' })
    await eventually('the call', () => seen.length === 1)
    await eventually(
      'success',
      async () => (await webhooks.deliveries.get({ scope, id: waiting.id })).status === 'succeeded',
    )
    for (const call of ['update', 'delete', 'rotateSecret', 'secrets', 'ping', 'publicKeys'] as const) {
      const refused = webhooks.endpoints[call]({ scope, id: 'fn:mail', set: {} })
      await expect(refused, call).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    }
  })

  test('dead letters go again by redrive', async () => {
    const { webhooks } = await stage(open)
    let fails = true
    webhooks.handle('mail', { types: ['**'], retry: { schedule: [0] } }, () => {
      if (fails) throw new Error('no')
    })
    await webhooks.start()
    await webhooks.sendMany([1, 2, 3].map((data) => ({ type: 'a', data, scope })))
    const count = async (status: 'dead' | 'succeeded') =>
      (await webhooks.deliveries.list({ scope, endpoint: 'fn:mail', status })).items.length
    await eventually('three dead', async () => (await count('dead')) === 3)
    fails = false
    const { id } = await webhooks.deliveries.redrive({ scope, endpoint: 'fn:mail', perSecond: 1_000 })
    await eventually('three successes', async () => (await count('succeeded')) === 3)
    await eventually('its end', async () => (await webhooks.deliveries.redriveStatus({ scope, id })).state === 'done')
    expect(await webhooks.deliveries.redriveStatus({ scope, id })).toEqual({ state: 'done', moved: 3 })
  })
})
