import { expect, test } from 'vitest'
import { runSuite, scoreMutants } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import { brokenStores, idempotencyStoreSuite } from '@keelson/idempotency/conformance'
import { goodSteps, storeOfSteps } from '../../src/conformance/store-of-steps.ts'

test('the store that the broken ones are made of is a good one', async () => {
  const report = await runSuite(idempotencyStoreSuite, {
    has: ['wait', 'sweep', 'counts', 'stuck', 'ofSubject'],
    async make() {
      const clock = virtualClock()
      return { store: storeOfSteps(goodSteps, clock), elapse: (ms) => clock.advance(ms), async dispose() {} }
    },
  })
  expect(report.failed).toEqual([])
  expect(report.passed.length).toBeGreaterThanOrEqual(70)
})

test('every store that is broken on purpose is caught', async () => {
  const { total, survivors } = await scoreMutants(idempotencyStoreSuite, brokenStores)
  expect(total).toBeGreaterThanOrEqual(100)
  expect(survivors).toEqual([])
}, 300_000)
