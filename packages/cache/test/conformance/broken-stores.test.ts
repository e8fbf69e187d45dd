import { expect, test } from 'vitest'
import { runSuite, scoreMutants } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import { brokenStores, cacheStoreSuite } from '@keelson/cache/conformance'
import { goodSteps, storeOfSteps } from '../../src/conformance/store-of-steps.ts'

test('the store that the broken ones are made of is a good one', async () => {
  const report = await runSuite(cacheStoreSuite, {
    has: ['bodies', 'members', 'wakes', 'keeps', 'lose', 'cut', 'jump'],
    async make() {
      const clock = virtualClock()
      return { ...storeOfSteps(goodSteps, clock), elapse: (ms) => clock.advance(ms), async dispose() {} }
    },
  })
  expect(report.failed).toEqual([])
  expect(report.passed.length).toBeGreaterThanOrEqual(80)
})

test('every store that is broken on purpose is caught', async () => {
  const { total, survivors } = await scoreMutants(cacheStoreSuite, brokenStores)
  expect(survivors).toEqual([])
  expect(total).toBeGreaterThanOrEqual(100)
}, 300_000)
