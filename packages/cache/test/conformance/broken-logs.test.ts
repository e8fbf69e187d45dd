import { expect, test } from 'vitest'
import { runSuite, scoreMutants } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import { brokenLogs, dropLogSuite } from '@keelson/cache/conformance'
import { goodLogSteps, logOfSteps } from '../../src/conformance/log-of-steps.ts'

test('the log that the broken ones are made of is a good one', async () => {
  const report = await runSuite(dropLogSuite, {
    has: ['parallel'],
    async make() {
      const clock = virtualClock()
      return { ...logOfSteps(goodLogSteps, clock), elapse: (ms) => clock.advance(ms), async dispose() {} }
    },
  })
  expect(report.failed).toEqual([])
  expect(report.passed.length).toBeGreaterThanOrEqual(15)
})

test('every log that is broken on purpose is caught', async () => {
  const { total, survivors } = await scoreMutants(dropLogSuite, brokenLogs)
  expect(survivors).toEqual([])
  expect(total).toBeGreaterThanOrEqual(40)
}, 300_000)
