import { describe, expect, test } from 'vitest'
import { backends } from './backends.ts'
import { eventually, stage } from './stage.ts'

const scope = 'acme'
const { memory, Redis, Postgres } = backends
const over = Object.entries({ memory: memory!, Redis: Redis!, Postgres: Postgres! })

/** The most that was held at once. */
function watchSlots(inspect: () => Promise<{ counts: { slotsFast: number; slotsSlow: number } }>) {
  const most = { fast: 0, slow: 0 }
  const timer = setInterval(() => {
    void inspect().then(({ counts }) => {
      most.fast = Math.max(most.fast, counts.slotsFast)
      most.slow = Math.max(most.slow, counts.slotsSlow)
    })
  }, 10)
  return { most, stop: () => clearInterval(timer) }
}

describe.each(over)('over %s', (_, open) => {
  test('half of a hundred endpoints hang, and each healthy one is served', async () => {
    const dispatcher = { concurrency: 8, slowAfter: 100, slowConcurrency: 64, pollInterval: 50 }
    const { webhooks, receiver } = await stage(open, { dispatcher, endpoint: { timeout: '60s' } })
    for (let n = 0; n < 50; n++) receiver.answer({ hang: n % 2 === 0 ? 'head' : 'body' }, { path: `/hung/${n}` })
    const urls = Array.from({ length: 50 }, (__, n) => [`/hung/${n}`, `/well/${n}`]).flat()
    await Promise.all(urls.map(async (path) => webhooks.endpoints.create({ scope, url: receiver.url + path })))
    const slots = watchSlots(() => webhooks.inspect())
    await webhooks.start()
    for (let n = 0; n < 4; n++) await webhooks.send('order.created', n, { scope })
    const well = () => receiver.received.filter(({ path }) => path.startsWith('/well/')).length
    await eventually('every healthy one', () => well() === 200)
    slots.stop()
    expect(slots.most.fast).toBeLessThanOrEqual(8)
    expect(slots.most.slow).toBeLessThanOrEqual(64)
    await eventually('the hung ones', () => receiver.received.length === 250)
    // One at a time of each that hangs, whatever waits for it.
    await eventually('nothing but them under way', async () => {
      const { slotsFast, slotsSlow, delivering } = (await webhooks.inspect()).counts
      return slotsFast === 0 && slotsSlow === 50 && delivering === 50
    })
    await webhooks.stop({ drain: 0 })
    expect((await webhooks.inspect()).counts).toMatchObject({ slotsFast: 0, slotsSlow: 0 })
  })

  test('with the slow slots full no suspect is claimed, and the healthy go on', async () => {
    const dispatcher = { concurrency: 4, slowAfter: 50, slowConcurrency: 3, pollInterval: 50 }
    const endpoint = {
      timeout: 1_000,
      retry: { schedule: [0, 0, 0, 0, 0, 0, 0, 0, 0], jitter: 0 },
      breaker: false,
    } as const
    const { webhooks, receiver, log } = await stage(open, { dispatcher, endpoint })
    for (let n = 0; n < 12; n++) receiver.answer({ hang: 'head' }, { path: `/hung/${n}` })
    const ids = new Set<string>()
    for (let n = 0; n < 12; n++)
      ids.add((await webhooks.endpoints.create({ scope: 'sick', url: `${receiver.url}/hung/${n}` })).id)
    await webhooks.endpoints.create({ scope, url: `${receiver.url}/well` })
    const slots = watchSlots(() => webhooks.inspect())
    await webhooks.start()
    await webhooks.send('order.created', 1, { scope: 'sick' })
    // All are suspects from here on.
    await eventually('each has timed out', () => {
      const failed = log.filter(({ message }) => message === 'webhooks.attempt_failed')
      return new Set(failed.map(({ endpoint: id }) => id)).size === 12
    })
    const hung = () => receiver.received.filter(({ path }) => path !== '/well').length
    const hungThen = hung()
    const beganMs = performance.now()
    for (let n = 0; n < 40; n++) {
      await webhooks.send('order.created', n, { scope })
      await receiver.next(({ path }) => path === '/well')
    }
    // Each keeps a slow slot for as long as its attempt may take: so many at first, at last, and in between.
    const turns = 2 + (performance.now() - beganMs) / endpoint.timeout
    expect(hung() - hungThen).toBeLessThanOrEqual(dispatcher.slowConcurrency * turns)
    slots.stop()
    expect(slots.most.slow).toBeLessThanOrEqual(3)
    expect(slots.most.fast).toBeLessThanOrEqual(4)
    await eventually('no fast slot taken', async () => (await webhooks.inspect()).counts.slotsFast === 0)
  })
})
