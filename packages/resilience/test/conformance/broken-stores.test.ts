import { expect, test } from 'vitest'
import { runSuite, scoreMutants } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import { brokenStores, limiterStoreSuite } from '../../src/conformance/index.ts'
import { goodSteps, storeOfSteps } from '../../src/conformance/store-of-steps.ts'

test('the store that the broken ones are made of is a good one', async () => {
  const report = await runSuite(limiterStoreSuite, {
    has: ['sweep', 'elapse'],
    async make() {
      const clock = virtualClock()
      return { store: storeOfSteps(goodSteps, clock), elapse: (ms) => clock.advance(ms), async dispose() {} }
    },
  })
  expect(report.failed).toEqual([])
  expect(report.omitted).toEqual([])
})

test('every store that is broken on purpose is caught', { timeout: 300_000 }, async () => {
  const { total, survivors } = await scoreMutants(limiterStoreSuite, brokenStores)
  expect(total).toBeGreaterThanOrEqual(70)
  expect(survivors).toEqual([])
})
