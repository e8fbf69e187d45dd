import { expect, test } from 'vitest'
import { systemClock, type Clock } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { memoryStore, type Settlement, type WebhookStore } from '@keelson/webhooks'
import { backends } from './backends.ts'
import { eventually, stage } from './stage.ts'

test('a suspect whose slow slot went to another one meanwhile is given back', async () => {
  const clock = virtualClock()
  const inner = memoryStore({ clock })
  const gate = Promise.withResolvers<void>()
  const told: Settlement[] = []
  let isHeld = false
  const store: WebhookStore = {
    ...inner,
    async claim(q) {
      const claims = await inner.claim(q)
      if (claims.some(({ suspect }) => suspect)) {
        isHeld = true
        await gate.promise
      }
      return claims
    },
    async settle(settlements) {
      told.push(...settlements)
      return inner.settle(settlements)
    },
  }
  const { webhooks, receiver } = await stage(backends['memory']!, {
    store,
    clock,
    dispatcher: { concurrency: 4, slowConcurrency: 1, slowAfter: '1s', pollInterval: 50 },
    endpoint: { retry: { schedule: [0, 100, 100], jitter: 0 }, breaker: false },
  })
  receiver.answer({ hang: 'head' })
  const sick = await webhooks.endpoints.create({ scope: 'sick', url: `${receiver.url}/sick`, timeout: 50 })
  await webhooks.endpoints.create({ scope: 'slow', url: `${receiver.url}/slow`, timeout: '60s' })
  await webhooks.start()
  await webhooks.send('a', 1, { scope: 'sick' })
  await webhooks.send('a', 1, { scope: 'slow' })
  // Both are called before any time passes.
  await receiver.waitFor(2)
  /** Lets time pass in small steps until it is so. */
  const passes = (what: string, isSo: () => boolean | Promise<boolean>) =>
    eventually(what, async () => {
      await clock.advance(10)
      return isSo()
    })
  await passes('the suspect is claimed', () => isHeld)
  expect((await webhooks.inspect()).counts.slotsSlow).toBe(0)
  await passes('the other one is slow', async () => (await webhooks.inspect()).counts.slotsSlow === 1)
  gate.resolve()
  await passes('it is given back', () =>
    told.some(({ token, attempt, end }) => token.endpoint === sick.id && attempt === null && end.kind === 'release'),
  )
  expect(receiver.received.map(({ path }) => path).toSorted()).toEqual(['/sick', '/slow'])
  expect((await webhooks.inspect()).counts).toMatchObject({ slotsFast: 0, slotsSlow: 1 })
})

test('a claim that a process hears of when its lease does not last for an attempt is given back, not attempted', async () => {
  const inner = memoryStore()
  const told: Settlement[] = []
  let stoodStillMs = 0
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + stoodStillMs }
  const store: WebhookStore = {
    ...inner,
    async claim(q) {
      const claims = await inner.claim(q)
      // Once: the process is kept from running while the answer is on its way.
      if (claims.length > 0 && stoodStillMs === 0) stoodStillMs = 6_000
      return claims
    },
    async settle(settlements) {
      told.push(...settlements)
      return inner.settle(settlements)
    },
  }
  const { webhooks, receiver } = await stage(backends['memory']!, { store, clock })
  await webhooks.endpoints.create({ scope: 'acme', url: receiver.url, timeout: '10s' })
  await webhooks.start()
  await webhooks.send('a', 1, { scope: 'acme' })
  await receiver.waitFor(1)
  await eventually('both have ended', () => told.length > 1)
  expect(told.map(({ attempt, end }) => [attempt?.outcome, end.kind])).toEqual([
    [undefined, 'release'],
    ['success', 'succeeded'],
  ])
})

test('once they are closed nothing is told any more', async () => {
  const inner = memoryStore()
  let calls = 0
  const settle = async () => {
    calls++
    throw new Error('this store takes nothing')
  }
  const { webhooks, receiver } = await stage(backends['memory']!, { store: { ...inner, settle } })
  await webhooks.endpoints.create({ scope: 'acme', url: receiver.url })
  await webhooks.start()
  await webhooks.send('a', 1, { scope: 'acme' })
  await eventually('it was tried', () => calls > 1)
  await webhooks.close()
  const then = calls
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  expect(calls).toBe(then)
})
