import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { EncryptionProvider } from '@keelson/webhooks'
import { attemptMs } from '../src/settings.ts'
import { backends } from './backends.ts'
import { eventually, stage } from './stage.ts'

const scope = 'acme'
const { memory, Redis, Postgres } = backends
const over = Object.entries({ memory: memory!, Redis: Redis!, Postgres: Postgres! })

describe.each(over)('over %s', (_, open) => {
  test('an application that is given a longer timeout does not outlive the leases of lanes that it finds', async () => {
    // An attempt takes three quarters of its lease of 9 s at most: a machine that stalls has the last one.
    const dispatcher = { pollInterval: 50, leaseMargin: 8_500 }
    const { webhooks, receiver, open: another } = await stage(open, { endpoint: { timeout: 500 }, dispatcher })
    receiver.answer({ hang: 'head' }, { times: 1 })
    await webhooks.endpoints.create({ scope, url: receiver.url })
    await webhooks.send('order.created', 1, { scope })
    await webhooks.close()
    const later = another({ endpoint: { timeout: '60s', retry: { schedule: [0, 0], jitter: 0 } }, dispatcher })
    await later.start()
    const delivery = await eventually('success', async () => {
      return (await later.deliveries.list({ scope, status: 'succeeded' })).items[0]
    })
    const { items } = await later.deliveries.attempts({ scope, id: delivery.id })
    expect(items.map(({ outcome }) => outcome)).toEqual(['timeout', 'success'])
  })

  test('an endpoint that is deleted while it is called ends its deliveries, and keeps no slot', async () => {
    const { webhooks, receiver } = await stage(open)
    let answer: ((status: number) => void) | undefined
    receiver.answer(() => new Promise<number>((resolve) => (answer = resolve)), { times: 1 })
    const { id } = await webhooks.endpoints.create({ scope, url: receiver.url })
    await webhooks.start()
    await webhooks.sendMany([1, 2, 3].map((data) => ({ type: 'a', data, scope })))
    await receiver.waitFor(1)
    await webhooks.endpoints.delete({ scope, id })
    answer!(200)
    await eventually('no slot taken', async () => {
      const { slotsFast, slotsSlow, delivering, pending } = (await webhooks.inspect()).counts
      return slotsFast + slotsSlow + delivering + pending === 0
    })
    await webhooks.endpoints.create({ scope, url: `${receiver.url}/next` })
    await webhooks.send('a', 4, { scope })
    expect((await receiver.next(({ path }) => path === '/next')).json()).toMatchObject({ data: 4 })
    expect(receiver.received).toHaveLength(2)
  })

  test('without its key an endpoint waits with nothing spent, and the others go on', async () => {
    let isLost = false
    const provider: EncryptionProvider = {
      encrypt: async (plain) => plain,
      async decrypt(sealed, aad) {
        if (isLost && !Buffer.from(aad).toString().startsWith('well/')) throw new Error('PRIVATE: no such key')
        return sealed
      },
    }
    const { webhooks, receiver, log } = await stage(open, { encryption: provider })
    await webhooks.endpoints.create({ scope, url: `${receiver.url}/lost` })
    await webhooks.endpoints.create({ scope: 'well', url: `${receiver.url}/well` })
    await webhooks.start()
    isLost = true
    await webhooks.send('a', 1, { scope })
    const delivery = await eventually('a held one', async () => {
      return (await webhooks.deliveries.list({ scope })).items.find(({ held }) => held === 'key')
    })
    expect(delivery).toMatchObject({ status: 'pending', attempts: 0 })
    await webhooks.send('a', 2, { scope: 'well' })
    await receiver.next(({ path }) => path === '/well')
    expect(receiver.received).toHaveLength(1)
    expect(log.find(({ message }) => message === 'webhooks.attempt_failed')).toMatchObject({ reason: 'DECRYPT_FAILED' })
    expect(JSON.stringify(log)).not.toContain('PRIVATE')
  })

  test('a thousand endpoints get one event each, once', async () => {
    const { webhooks, receiver } = await stage(open, { maxEndpointsPerScope: 1_001 })
    const made = Array.from({ length: 1_001 }, (__, n) => `${receiver.url}/${n}`)
    for (let n = 0; n < made.length; n += 50) {
      await Promise.all(made.slice(n, n + 50).map(async (url) => webhooks.endpoints.create({ scope, url })))
    }
    const { id } = await webhooks.send('a', 1, { scope })
    expect(await webhooks.runOnce({ budget: '10m' })).toEqual({ done: true })
    expect(receiver.received).toHaveLength(1_001)
    expect(new Set(receiver.received.map(({ path }) => path)).size).toBe(1_001)
    // More than a page of the store.
    const { deliveries } = await webhooks.events.get({ scope, id })
    expect(deliveries.filter(({ status }) => status === 'succeeded')).toHaveLength(1_001)
  })
})

test('how long an attempt may take', () => {
  expect(attemptMs(15_000, 20_000, 5_000)).toBe(15_000)
  expect(attemptMs(60_000, 20_000, 5_000)).toBe(15_000)
  expect(attemptMs(1_000, 20_000, 5_000)).toBe(1_000)
  // The margin has grown since: the attempt keeps most of its lease.
  expect(attemptMs(15_000, 20_000, 600_000)).toBe(15_000)
  expect(attemptMs(300, 5_300, 5_000)).toBe(300)
})

test.each(['await webhooks.close()', ''])('a process with nothing to do ends by itself: %j', async (last) => {
  const code = `
    import { createWebhooks, memoryStore } from '@keelson/webhooks'
    const webhooks = createWebhooks({ store: memoryStore(), encryption: 'plaintext' })
    webhooks.handle('count', { types: ['**'] }, () => console.log('called'))
    await webhooks.start()
    const called = new Promise((resolve) => webhooks.on('delivery.succeeded', resolve))
    await webhooks.send('a', 1, { scope: 'acme' })
    const alive = setTimeout(() => {}, 60_000)
    await called
    clearTimeout(alive)
    ${last}`
  const args = ['--conditions=@keelson/source', '--no-warnings', '--input-type=module', '-e', code]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname })
  expect(stdout).toBe('called\n')
})
