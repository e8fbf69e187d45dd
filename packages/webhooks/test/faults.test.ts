import { expect, inject, onTestFinished, test } from 'vitest'
import { startFaultProxy } from '../../../tools/faults/fault-proxy.ts'
import { startRedis } from '../../../tools/servers/redis.ts'
import { postgresBackend, redisBackend, type Backend } from './backends.ts'
import { eventually, stage } from './stage.ts'

const scope = 'acme'
/** An attempt outlasts its store's absence, however slow the machine: it is not made twice. */
const endpoint = { timeout: '60s' } as const

interface Away {
  readonly backend: () => Promise<Backend>
  leave(): void
  comeBack(): void
}

/** Stores that stop answering, and answer again. */
const stores: Record<string, () => Promise<Away>> = {
  async 'a frozen Redis'() {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    return { backend: () => redisBackend(server.url), leave: () => server.freeze(), comeBack: () => server.thaw() }
  },
  async 'a Postgres that is refused'() {
    const { proxy, backend } = await proxied()
    return { backend, leave: () => proxy.refuse(), comeBack: () => proxy.pass() }
  },
  async 'a frozen Postgres'() {
    const { proxy, backend } = await proxied()
    return { backend, leave: () => proxy.freeze(), comeBack: () => proxy.pass() }
  },
}

async function proxied() {
  const url = new URL(inject('databaseUrl'))
  const proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port || 5432) })
  onTestFinished(() => proxy.close())
  const through = new URL(url)
  through.hostname = proxy.host
  through.port = String(proxy.port)
  return { proxy, backend: () => postgresBackend(url.href, through.href) }
}

test.each(Object.entries(stores))('%s: callers are told at once, and nothing is lost', async (_, open) => {
  const store = await open()
  const { webhooks: patient, open: another, receiver, log } = await stage(store.backend, { endpoint })
  const webhooks = another({ storeTimeout: '500ms', endpoint })
  let answer: ((status: number) => void) | undefined
  receiver.answer(() => new Promise<number>((resolve) => (answer = resolve)), { times: 1 })
  await patient.endpoints.create({ scope, url: receiver.url })
  await webhooks.start()
  await patient.send('order.created', 1, { scope, id: 'before' })
  await receiver.waitFor(1)
  store.leave()
  const refused = { code: 'STORE_UNAVAILABLE', retryable: true, retryAfter: expect.any(Number) }
  await expect(webhooks.send('order.created', 2, { scope })).rejects.toMatchObject(refused)
  // From here on the store is not even asked.
  for (let n = 0; n < 100; n++) {
    await expect(webhooks.send('order.created', 2, { scope })).rejects.toMatchObject(refused)
  }
  const status = await webhooks.inspect()
  expect(status).toMatchObject({ state: 'down', lastError: { code: 'STORE_UNAVAILABLE' } })
  answer!(200)
  await eventually(
    'the attempt is over',
    async () => (await webhooks.inspect()).counts.slotsFast + (await webhooks.inspect()).counts.slotsSlow === 0,
  )
  store.comeBack()
  await eventually('an event', async () => webhooks.send('order.created', 3, { scope, id: 'after' }))
  await eventually('both are told', async () => {
    const { items } = await patient.deliveries.list({ scope, status: 'succeeded' })
    const events = items.map(({ event }) => event)
    // One that was refused may have been written all the same: the store took it when it was back.
    return ['before', 'after'].every((id) => events.includes(id))
  })
  const [before] = (await patient.deliveries.list({ scope, event: 'before' })).items
  expect(before).toMatchObject({ status: 'succeeded', attempts: 1 })
  expect(receiver.received.filter(({ headers }) => headers['webhook-id'] === 'before')).toHaveLength(1)
  await eventually('it knows that the store is back', async () => (await webhooks.inspect()).lastError === undefined)
  const told = log.map(({ message }) => message)
  expect(told).toContain('webhooks.store_down')
  expect(told).toContain('webhooks.store_up')
})

test('a node starts while its store is away, and delivers when it is back; a close meanwhile is no wait', async () => {
  const store = await stores['a frozen Redis']!()
  const { webhooks, open, receiver } = await stage(store.backend)
  await webhooks.endpoints.create({ scope, url: receiver.url })
  const other = open({ storeTimeout: '500ms' })
  const seen: unknown[] = []
  other.handle('count', { types: ['**'] }, ({ data }) => void seen.push(data))
  store.leave()
  await other.start()
  const third = open({ storeTimeout: '500ms' })
  await third.start()
  await third.close()
  store.comeBack()
  await eventually('an event', async () => webhooks.send('order.created', 1, { scope, id: 'first' }))
  await receiver.waitFor(1)
  await eventually('an event for the handler', async () => {
    await webhooks.send('order.created', 2, { scope }).catch(() => {})
    return seen.length > 0
  })
})
