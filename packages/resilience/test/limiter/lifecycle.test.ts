import { expect, test } from 'vitest'
import { silentLogger } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { createLimiter, memoryStore } from '../../src/limiter/index.ts'
import { createSweeper } from '../../src/limiter/sweeper.ts'

test('a stop waits for one step of the sweeping, however much is left', async () => {
  const clock = virtualClock()
  const begun = Promise.withResolvers<void>()
  const sweep = async (count: number): Promise<number> => {
    begun.resolve()
    await new Promise((resolve) => setImmediate(resolve))
    return count
  }
  const sweeper = createSweeper(sweep, clock, silentLogger)
  sweeper.start()
  const advancing = clock.advance('90s')
  await begun.promise
  await sweeper.stop()
  await advancing
})

test('whoever closes once more waits for the same end', async () => {
  const { promise: end, resolve } = Promise.withResolvers<void>()
  const quotas = { name: 'q', limit: 1, per: '1s' } as const
  const limiter = createLimiter({ name: 'l', quotas, store: { ...memoryStore(), close: () => end } })
  let ended = 0
  const closing = [1, 2].map(async () => {
    await limiter.close()
    ended++
  })
  await new Promise((resolve) => setImmediate(resolve))
  expect(ended).toBe(0)
  resolve()
  await Promise.all(closing)
})
