import { expect, test } from 'vitest'
import { createIdempotency, memoryStore, type IdempotencyStore } from '@keelson/idempotency'
import { virtualClock } from '@keelson/kernel/testing'

test.each(['stop', 'close'] as const)('a %s while it starts is the end of its sweeping', async (end) => {
  const clock = virtualClock()
  let sweeps = 0
  const sweep = async (): Promise<number> => {
    sweeps++
    return 0
  }
  const store: IdempotencyStore = { ...memoryStore({ clock }), warnings: async () => [], sweep }
  const idempotency = createIdempotency({ store, clock })
  const starting = idempotency.start()
  await idempotency[end]()
  await starting
  await clock.advance('1h')
  expect(sweeps).toBe(0)
})
