import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createIdempotency, type IdempotencyStore } from '@keelson/idempotency'
import { stores, type OpenStore } from './stores.ts'

/** Much longer than a machine stands still: a run that was not renewed in time must say that it is lost. */
const LEASE_MS = 6_000

// One after the other, and before any lease begins: opening an embedded database keeps this process busy for seconds.
const opened = new Map<string, OpenStore>()
beforeAll(async () => {
  for (const [name, open] of Object.entries(stores)) opened.set(name, await open())
})
afterAll(async () => {
  for (const one of opened.values()) await one[Symbol.asyncDispose]()
})

// All at once: each only waits.
test.concurrent.each(Object.keys(stores))('a long run on %s keeps its key by renewing the lease', async (name) => {
  const { store } = opened.get(name)!
  const another = () => createIdempotency<IdempotencyStore>({ store, storeTimeout: '20s' })
  const [one, other] = [another(), another()]
  const call = { scope: 'm1', op: 'POST /charges', key: randomUUID(), lease: LEASE_MS }
  const first = one.run(call, async (x) => {
    await sleep(1.4 * LEASE_MS)
    // Within the work: a busy machine may see the end of two sleeps in any order.
    const duplicate = await other.run({ ...call, wait: 0 }, async () => true)
    return { lost: x.signal.aborted, duplicate: duplicate.ok ? duplicate.value : duplicate.code }
  })
  const value = { lost: false, duplicate: 'KEY_IN_USE' }
  expect(await first).toMatchObject({ ok: true, attempt: 1, stored: true, value })
  await Promise.all([one.close(), other.close()])
})
