import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterEach, describe, expect, inject, test, vi } from 'vitest'
import { createCache, type CacheOptions, type Caches } from '@keelson/cache'
import { redisStore } from '@keelson/cache/redis'
import { startFaultProxy, type FaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { watchRejections } from '../../../idempotency/test/faults/unhandled.ts'
import { bumpScript } from '../../src/redis/bump.lua.ts'
import { fillScript } from '../../src/redis/fill.lua.ts'

watchRejections()

const stacks: AsyncDisposableStack[] = []
afterEach(async () => {
  for (const stack of stacks.splice(0)) await stack.disposeAsync()
})

const clients = {
  async ioredis(url: string) {
    const client = new Redis(url, { retryStrategy: () => 50 })
    client.on('error', () => {})
    return { client, end: () => client.disconnect() }
  },
  async 'node-redis'(url: string) {
    const client = createClient({ url, socket: { reconnectStrategy: () => 50 } })
    client.on('error', () => {})
    return { client: await client.connect(), end: () => client.destroy() }
  },
}
type Kind = keyof typeof clients

const until = (isSo: () => Promise<void>): Promise<void> => vi.waitFor(isSo, { timeout: 60_000, interval: 50 })

/** A node behind a proxy and one beside it, each with `k` in its memory. */
async function stand(kind: Kind, o: Partial<CacheOptions> = {}) {
  const stack = new AsyncDisposableStack()
  stacks.push(stack)
  const { hostname: host, port } = new URL(inject('redisUrl'))
  const proxy = stack.use(await startFaultProxy({ host, port: Number(port) }))
  const name = `f${Math.random().toString(36).slice(2, 10)}`
  const truth = { value: 'old' }
  const load = vi.fn(async () => truth.value)
  async function node(url: string, more: Partial<CacheOptions>) {
    const { client, end } = await clients[kind](url)
    stack.defer(end)
    const caches = createCache({ name, store: redisStore(client), lease: '300ms', jitter: 0, early: 0, ...more })
    stack.use(caches)
    await caches.start()
    const cache = caches.scope('s')
    return { caches, cache, read: () => cache.getOrSet('k', load, { tags: ['t'] }) }
  }
  const cutOff = await node(`redis://${proxy.host}:${proxy.port}`, o)
  const beside = await node(inject('redisUrl'), { storeTimeout: '10s' })
  await until(async () => {
    expect([await cutOff.read(), await beside.read()]).toEqual(['old', 'old'])
    expect([cutOff.cache.peek('k'), beside.cache.peek('k')]).toEqual(['old', 'old'])
  })
  return { proxy, truth, load, cutOff, beside }
}

async function isHealthy(caches: Caches): Promise<void> {
  const { state, lease } = await caches.inspect()
  expect([state, lease.held]).toEqual(['ok', true])
}

const faults: Record<string, (proxy: FaultProxy) => void> = {
  refused: (proxy) => proxy.refuse(),
  frozen: (proxy) => proxy.freeze(),
  'half-open': (proxy) => proxy.halfOpen(),
  mute: (proxy) => proxy.mute(),
  slow: (proxy) => proxy.delay(1_500),
}

describe.each(Object.keys(clients) as Kind[])('%s: the way to Redis is', (kind) => {
  test.each(Object.entries(faults))('%s', async (how, harm) => {
    const { proxy, truth, load, cutOff, beside } = await stand(kind)
    harm(proxy)
    truth.value = 'new'
    // The node that cannot be told is waited for, and serves nothing from its memory by then.
    await beside.cache.invalidate('t')
    expect(await cutOff.read()).toBe('new')
    expect(await beside.read()).toBe('new')

    // With new connections that work it may be back at any time.
    if (how !== 'half-open') {
      await until(async () => expect((await cutOff.caches.inspect()).store.state).toBe('down'))
      load.mockClear()
      const crowd = await Promise.all(Array.from({ length: 200 }, () => cutOff.read()))
      expect(new Set(crowd)).toEqual(new Set(['new']))
      expect(load.mock.calls.length).toBeLessThanOrEqual(2)
      truth.value = 'newer'
      await expect(cutOff.cache.invalidate('t')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
      expect(await cutOff.read()).toBe('newer')
      expect((await cutOff.caches.inspect()).owed.tags).toBe(1)
    }

    proxy.pass()
    // What a system's keepalive does in the end, or a client's time-out for its socket.
    proxy.resetAll()
    await until(() => isHealthy(cutOff.caches))
    // What was owed is paid before anything is read.
    expect([await cutOff.read(), await beside.read()]).toEqual([truth.value, truth.value])
    await until(async () => {
      await cutOff.read()
      expect(cutOff.cache.peek('k')).toBe(truth.value)
    })
    truth.value = 'newest'
    await beside.cache.invalidate('t')
    expect([await cutOff.read(), await beside.read()]).toEqual(['newest', 'newest'])
  })

  test('fine, but the reply of a bump is lost: it has counted, whatever its caller was told', async () => {
    const { proxy, truth, cutOff, beside } = await stand(kind, { storeTimeout: '20s' })
    await cutOff.cache.invalidate('warm')
    truth.value = 'new'
    const lost = proxy.loseReplyAfter((bytes) => bytes.includes(bumpScript.sha))
    const told = await cutOff.cache.invalidate('t').then(
      () => 'done',
      (error: { code: string }) => error.code,
    )
    expect(await lost).toBe(true)
    expect(['done', 'STORE_UNAVAILABLE']).toContain(told)
    expect(await cutOff.read()).toBe('new')
    if (told === 'done') expect(await beside.read()).toBe('new')
    // A debt was paid by then, and its message acknowledged.
    await until(() => isHealthy(cutOff.caches))
    expect([await cutOff.read(), await beside.read()]).toEqual(['new', 'new'])
  })

  test('fine, but the reply of a fill is lost: the caller has its value, and the entry is right if it is there', async () => {
    const { proxy, truth, cutOff, beside } = await stand(kind, { storeTimeout: '20s' })
    await beside.cache.invalidate('t')
    truth.value = 'new'
    const lost = proxy.loseReplyAfter((bytes) => bytes.includes(fillScript.sha))
    expect(await cutOff.read()).toBe('new')
    expect(await lost).toBe(true)
    expect(await beside.read()).toBe('new')
    truth.value = 'newer'
    await beside.cache.invalidate('t')
    expect([await cutOff.read(), await beside.read()]).toEqual(['newer', 'newer'])
  })
})

/** Whole milliseconds and early timers once left a node its memory for the last of them: in 1 of 60 rounds it showed. */
test('the way to Redis is frozen at any moment: nothing is in memory once its invalidation has resolved', async () => {
  const { proxy, truth, cutOff, beside } = await stand('ioredis', { storeTimeout: '10s' })
  for (let round = 0; round < 60; round++) {
    await until(async () => {
      await cutOff.read()
      expect(cutOff.cache.peek('k')).toBe(truth.value)
    })
    await sleep(Math.random() * 100)
    proxy.freeze()
    await beside.cache.invalidate('t')
    expect(cutOff.cache.peek('k')).toBeUndefined()
    proxy.pass()
  }
})
