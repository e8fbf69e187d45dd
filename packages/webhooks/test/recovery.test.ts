import { expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { createWebhooks, memoryStore, type Unrouted } from '@keelson/webhooks'

const EVENTS = 8
const STEP_MS = 10

test('what a dead process has left goes on when its lease is over, not at the next look at leases', async () => {
  const clock = virtualClock()
  const store = memoryStore({ clock })
  const webhooks = createWebhooks({ store, clock, encryption: 'plaintext', dispatcher: { pollInterval: '10s' } })
  const handled = new Map<string, number>()
  webhooks.handle('note', { types: ['**'], timeout: '5s' }, ({ id }) => void handled.set(id, clock.now()))
  await webhooks.runOnce()
  /** When the lease of each event ends. */
  const ends = new Map<string, number>()
  for (let n = 0; n < EVENTS; n++) {
    const id = `ev_${n}`
    await webhooks.send('a', n, { scope: `s${n}`, id })
    const [{ event, revision, token }] = (await store.takeUnrouted(1, 1_000)) as [Unrouted]
    const deliveries = [{ id: `dl_${n}`, endpoint: 'fn:note' }]
    await store.route([{ scope: event.scope, event: id, token, matched: { revision, deliveries } }])
    const [claim] = await store.claim({ limit: 1, owner: 'dead', suspects: false, handlers: ['note'] })
    ends.set(id, clock.now() + claim!.leaseMs)
    // At every time of a second.
    await clock.advance(1_130)
  }
  await webhooks.start()
  for (let waited = 0; handled.size < EVENTS && waited < 60_000; waited += STEP_MS) await clock.advance(STEP_MS)
  const lateMs = [...ends].map(([id, endMs]) => handled.get(id)! - endMs)
  expect(Math.min(...lateMs)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...lateMs)).toBeLessThanOrEqual(250)
  await webhooks.close()
})
