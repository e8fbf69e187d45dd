import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLimiter, memoryStore } from '../../src/limiter/index.ts'
import { serverClock } from './timed-stores.ts'

const RUNS = process.env['LONG'] === '1' ? 1_000_000 : 10_000
const WINDOW_MS = 1_000
const START_MS = Date.UTC(2026, 0, 1)
const subject = { scope: 's', key: 'k' }

/** Ms between takes, and their costs. */
const schedule = fc.array(
  fc.record({
    passMs: fc.oneof(fc.constantFrom(0, 1, 16, 17, 500, 999, 1_000, 1_001), fc.nat(1_200)),
    cost: fc.integer({ min: 1, max: 4 }),
  }),
  { minLength: 1, maxLength: 25 },
)

interface Unit {
  readonly atMs: number
  readonly units: number
}

/** Units in the window of this length that ends now, begin open. */
function within(units: readonly Unit[], nowMs: number, windowMs: number): number {
  return units.reduce((sum, { atMs, units: n }) => (nowMs - atMs < windowMs ? sum + n : sum), 0)
}

test('I9: a sliding limiter is the exact log of what it admitted, for any schedule', { timeout: 600_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(schedule, fc.integer({ min: 1, max: 8 }), async (played, limit) => {
      const clock = serverClock(START_MS)
      const limiter = createLimiter({
        name: 'm',
        quotas: { name: 'q', limit, per: WINDOW_MS },
        store: memoryStore({ clock }),
        clock,
      })
      const admitted: Unit[] = []
      for (const { passMs, cost } of played) {
        clock.us += passMs * 1_000
        const nowMs = clock.now()
        // Takes of one instant are 1 us apart in the log.
        const fits = within(admitted, nowMs, WINDOW_MS) + cost <= limit
        const decision = await limiter.take({ ...subject, cost })
        const sameInstant = admitted.some(({ atMs }) => nowMs - atMs === WINDOW_MS)
        if (!sameInstant) expect(decision.allowed).toBe(fits)
        if (decision.allowed) expect(fits).toBe(true)
        if (decision.allowed) admitted.push({ atMs: nowMs, units: cost })
        else if (decision.retryAfter < Infinity) {
          clock.us += decision.retryAfter * 1_000
          const later = await limiter.take({ ...subject, cost })
          expect(later.allowed, `${later.source} ${later.retryAfter}`).toBe(true)
          admitted.push({ atMs: clock.now(), units: cost })
        }
      }
    }),
    { numRuns: RUNS },
  )
})

test.each([
  ['buckets', 'sliding'],
  ['gcra', 'gcra'],
] as const)('%s never admit more than they say, and refuse only what nearly does not fit', async (_, algorithm) => {
  await fc.assert(
    fc.asyncProperty(schedule, fc.integer({ min: 1, max: 8 }), async (played, limit) => {
      const clock = serverClock(START_MS)
      const most = algorithm === 'gcra' ? 2 * limit : limit
      const limiter = createLimiter({
        name: 'm',
        quotas: { name: 'q', limit: () => limit, per: WINDOW_MS, algorithm },
        store: memoryStore({ clock }),
        clock,
      })
      const admitted: Unit[] = []
      for (const { passMs, cost } of played) {
        clock.us += passMs * 1_000
        const decision = await limiter.take({ ...subject, cost })
        if (decision.allowed) {
          admitted.push({ atMs: clock.now(), units: cost })
          expect(within(admitted, clock.now(), WINDOW_MS)).toBeLessThanOrEqual(most)
        } else {
          // A unit may stay for a sixtieth of the window longer; those of gcra flow off one by one.
          const longer = algorithm === 'gcra' ? 2 : 61 / 60
          expect(within(admitted, clock.now(), WINDOW_MS * longer + 1) + cost).toBeGreaterThan(limit)
        }
      }
    }),
    { numRuns: Math.min(RUNS, 100_000) },
  )
})
