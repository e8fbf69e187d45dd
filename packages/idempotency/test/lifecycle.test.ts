import { expect, test } from 'vitest'
import { createIdempotency, memoryStore, type IdempotencyStore } from '@keelson/idempotency'
import { silentLogger } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { createSweeper } from '../src/sweeper.ts'

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

test('a stop waits for one step of the sweeping, however much is left', async () => {
  const clock = virtualClock()
  const begun = Promise.withResolvers<void>()
  const sweep = async (limit: number): Promise<number> => {
    begun.resolve()
    await new Promise((resolve) => setImmediate(resolve))
    return limit
  }
  const sweeper = createSweeper(sweep, () => {}, clock, silentLogger)
  sweeper.start()
  const advancing = clock.advance('90s')
  await begun.promise
  await sweeper.stop()
  await advancing
})

test('whoever closes once more waits for the same end', async () => {
  const { promise: end, resolve } = Promise.withResolvers<void>()
  const idempotency = createIdempotency({ store: { ...memoryStore(), close: () => end } })
  let ended = 0
  const closing = [1, 2].map(async () => {
    await idempotency.close()
    ended++
  })
  await new Promise((resolve) => setImmediate(resolve))
  expect(ended).toBe(0)
  resolve()
  await Promise.all(closing)
})
