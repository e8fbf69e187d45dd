import { describe, expect, it, test } from 'vitest'
import { brokenClocks, clockSuite, register, scoreMutants } from '../../src/conformance/index.ts'
import { systemClock } from '../../src/index.ts'
import { virtualClock } from '../../src/testing/index.ts'

describe('the system clock', () => {
  register(clockSuite, { make: async () => ({ clock: systemClock, async dispose() {} }) }, { describe, it })
})

describe('the virtual clock', () => {
  const make = async () => {
    const clock = virtualClock()
    return { clock, elapse: (byMs: number) => clock.advance(byMs), async dispose() {} }
  }
  register(clockSuite, { make }, { describe, it })
})

test('every broken clock is caught', async () => {
  const { survivors, caught } = await scoreMutants(clockSuite, brokenClocks, { timeout: '2s' })
  expect(survivors).toEqual([])
  expect(caught).toBe(18)
})
