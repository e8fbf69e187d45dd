import { describe, expect, test } from 'vitest'
import { createWebhooks, memoryStore, type WebhookStore } from '@keelson/webhooks'
import { backends } from './backends.ts'
import { eventually, stage } from './stage.ts'

const scope = 'acme'
const { memory, Redis, Postgres } = backends
const over = Object.entries({ memory: memory!, Redis: Redis!, Postgres: Postgres! })

describe.each(over)('over %s', (name, open) => {
  test('runOnce delivers what is due and leaves nothing open', async () => {
    const { webhooks, receiver } = await stage(open)
    await webhooks.endpoints.create({ scope, url: receiver.url })
    expect(await webhooks.runOnce()).toEqual({ done: true })
    await webhooks.sendMany(Array.from({ length: 30 }, (_, n) => ({ type: 'order.created', data: n, scope })))
    await webhooks.send('order.late', 1, { scope, notBefore: new Date(Date.now() + 3_600_000) })
    receiver.answer(500, { times: 1 })
    expect(await webhooks.runOnce()).toEqual({ done: true })
    expect(receiver.received.length).toBeGreaterThanOrEqual(30)
    await eventually('no sockets', () => receiver.connections === 0)
    await eventually('all', async () => {
      const { done } = await webhooks.runOnce()
      return done && (await webhooks.deliveries.list({ scope, status: 'succeeded' })).items.length === 30
    })
    expect((await webhooks.deliveries.list({ scope, status: 'pending' })).items).toHaveLength(1)
  })

  test('runOnce begins nothing behind its budget, and says that there is more', async () => {
    const { webhooks, receiver } = await stage(open)
    await webhooks.endpoints.create({ scope, url: receiver.url })
    await webhooks.send('order.created', 1, { scope })
    expect(await webhooks.runOnce({ budget: 0 })).toEqual({ done: false })
    expect(receiver.received).toEqual([])
    expect(await webhooks.runOnce()).toEqual({ done: true })
    expect(receiver.received).toHaveLength(1)
  })

  test('start, stop and close come in any order, together or alone', async () => {
    const { webhooks, receiver } = await stage(open)
    await webhooks.endpoints.create({ scope, url: receiver.url })
    await webhooks.stop()
    await Promise.all([webhooks.start(), webhooks.start(), webhooks.stop(), webhooks.start()])
    await expect(webhooks.runOnce()).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await webhooks.send('order.created', 1, { scope })
    await receiver.waitFor(1)
    await webhooks.stop()
    await webhooks.send('order.created', 2, { scope })
    expect(await webhooks.runOnce()).toEqual({ done: true })
    await receiver.waitFor(2)
    const runs = [webhooks.runOnce(), webhooks.start(), webhooks.runOnce().catch((error: unknown) => error)]
    expect(await Promise.all(runs)).toMatchObject([{ done: true }, undefined, { code: 'INPUT_INVALID' }])
    await webhooks.send('order.created', 3, { scope })
    await receiver.waitFor(3)
    await Promise.all([webhooks.close(), webhooks.close(), webhooks.stop()])
    await webhooks.close()
    const closed = { code: 'CLOSED' }
    await expect(webhooks.start()).rejects.toMatchObject(closed)
    await expect(webhooks.runOnce()).rejects.toMatchObject(closed)
    await expect(webhooks.send('a', 1, { scope })).rejects.toMatchObject(closed)
    await expect(webhooks.endpoints.list({ scope })).rejects.toMatchObject(closed)
    expect(() => webhooks.event('a', 1, { scope })).toThrow(expect.objectContaining(closed))
    expect(() => webhooks.handle('a', { types: ['**'] }, () => 1)).toThrow(expect.objectContaining(closed))
  })

  test('close ends what runs once; what it had begun is given back and goes again, nothing spent', async () => {
    const { webhooks, receiver, open: another } = await stage(open)
    receiver.answer({ hang: 'head' })
    await webhooks.endpoints.create({ scope, url: receiver.url })
    await webhooks.send('order.created', 1, { scope })
    const running = webhooks.runOnce({ budget: '1h' })
    await receiver.waitFor(1)
    await webhooks.close()
    expect(await running).toEqual({ done: false })
    receiver.answer(200)
    const next = another()
    await next.start()
    await receiver.waitFor(2)
    const [delivery] = await eventually('success', async () => {
      const { items } = await next.deliveries.list({ scope, status: 'succeeded' })
      return items.length > 0 && items
    })
    expect(delivery).toMatchObject({ attempts: 1 })
    const { items } = await next.deliveries.attempts({ scope, id: delivery!.id })
    expect(items.map(({ number, outcome }) => [number, outcome])).toEqual([[1, 'success']])
  })

  test('a stop with a drain waits for what is under way, and claims nothing more', async () => {
    const { webhooks, receiver } = await stage(open)
    let answer: ((status: number) => void) | undefined
    receiver.answer(() => new Promise<number>((resolve) => (answer = resolve)))
    await webhooks.endpoints.create({ scope, url: receiver.url })
    await webhooks.start()
    await webhooks.send('order.created', 1, { scope })
    await webhooks.send('order.created', 2, { scope })
    await receiver.waitFor(1)
    // Who stops routes nothing more either.
    await eventually('both are routed', async () => (await webhooks.deliveries.list({ scope })).items.length === 2)
    const stopping = webhooks.stop({ drain: '1m' })
    answer!(200)
    await stopping
    expect(receiver.received).toHaveLength(1)
    const { items } = await webhooks.deliveries.list({ scope })
    expect(items.map(({ status }) => status).toSorted()).toEqual(['pending', 'succeeded'])
    await eventually('no sockets', () => receiver.connections === 0)
  })

  test('a handler that comes between two starts gets its events', async () => {
    const { webhooks } = await stage(open)
    const seen: string[] = []
    webhooks.handle('first', { types: ['**'] }, () => void seen.push('first'))
    await webhooks.start()
    expect(() => webhooks.handle('late', { types: ['**'] }, () => 1)).toThrow(/comes too late/)
    await webhooks.stop()
    await webhooks.runOnce()
    webhooks.handle('second', { types: ['**'] }, () => void seen.push('second'))
    await webhooks.start()
    await webhooks.send('order.created', 1, { scope })
    await eventually(`both (${name})`, () => seen.length === 2)
    expect(seen.toSorted()).toEqual(['first', 'second'])
  })
})

test('who stops as it begins to hear of others hears of nobody any more', async () => {
  const inner = memoryStore()
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  const { promise: open, resolve: letIn } = Promise.withResolvers<void>()
  let tries = 0
  let hearing = 0
  const store: WebhookStore = {
    ...inner,
    async onWake(fn) {
      if (tries++ === 0) throw new Error('not yet')
      begin()
      await open
      const stop = await inner.onWake(fn)
      hearing++
      return async () => {
        hearing--
        await stop()
      }
    },
  }
  const webhooks = createWebhooks({ store, encryption: [{ id: 'k1', key: Buffer.alloc(32, 1) }], storeTimeout: '60s' })
  await webhooks.start()
  await begun
  const stopping = webhooks.stop()
  await new Promise((resolve) => setImmediate(resolve))
  letIn()
  await stopping
  expect(hearing).toBe(0)
  await webhooks.close()
})
