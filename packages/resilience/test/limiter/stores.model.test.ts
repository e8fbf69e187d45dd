import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { QuotaSpec } from '../../src/limiter/index.ts'
import { calendarBounds } from '../../src/limiter/calendar.ts'
import { serverClock, timedStores, type TimedStore } from './timed-stores.ts'

const START_MS = Date.UTC(2026, 2, 28, 22, 59, 58)
const RUNS = process.env['LONG'] === '1' ? 2_000 : 150

const clock = serverClock(START_MS)
const opened: TimedStore[] = []
beforeAll(async () => {
  for (const open of Object.values(timedStores)) opened.push(await open(clock))
})
afterAll(async () => {
  for (const one of opened) await one[Symbol.asyncDispose]()
})

const windows = fc.constantFrom(1, 7, 60, 1_000, 60_000)
const limits = fc.integer({ min: 1, max: 12 })
const specs: fc.Arbitrary<readonly QuotaSpec[]> = fc
  .uniqueArray(
    fc.oneof(
      fc.record({
        algorithm: fc.constantFrom('log' as const, 'buckets' as const, 'fixed' as const),
        limit: limits,
        windowMs: windows,
      }),
      fc.record({ algorithm: fc.constant('gcra' as const), limit: limits, windowMs: windows, burst: limits }),
      fc.record({ algorithm: fc.constant('calendar' as const), limit: limits }),
    ),
    { minLength: 1, maxLength: 4, selector: ({ algorithm }) => algorithm },
  )
  .map(
    (list) =>
      list.map((spec) => ({
        ...spec,
        key: spec.algorithm,
        ...(spec.algorithm === 'calendar' ? { bounds: calendarBounds('day', 'Europe/Berlin', START_MS) } : {}),
      })) as QuotaSpec[],
  )

type Step =
  | { readonly kind: 'pass'; readonly us: number }
  | { readonly kind: 'take'; readonly cost: number; readonly atLeast: number }
  | { readonly kind: 'peek'; readonly cost: number }
  | { readonly kind: 'refund'; readonly of: number; readonly cost: number }
  | { readonly kind: 'reset' }

const costs = fc.integer({ min: 1, max: 5 })
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('pass' as const), us: elapsed() }) },
    {
      weight: 8,
      arbitrary: fc
        .record({ cost: costs, less: fc.integer({ min: 0, max: 4 }) })
        .map(({ cost, less }) => ({ kind: 'take' as const, cost, atLeast: Math.max(1, cost - less) })),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('peek' as const), cost: costs }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('refund' as const), of: fc.nat(20), cost: costs }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: 'reset' as const }) },
  ),
  { minLength: 1, maxLength: 30 },
)

/** Sometimes back: a server's clock is set. */
function elapsed(): fc.Arbitrary<number> {
  return fc.oneof(
    fc.constantFrom(0, 1, 999, 1_000, 16_667, 100_000, 1_000_000, 3_600_000_000),
    fc.integer({ min: 0, max: 2_000_000 }),
    fc.integer({ min: -500_000, max: 0 }),
  )
}

let subjects = 0
test('all stores agree, step by step, to the last number', { timeout: 300_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(specs, steps, async (quotas, played) => {
      clock.us = START_MS * 1_000
      const subject = `s${++subjects}`
      const taken: { tokens: string[]; left: number }[] = []
      for (const step of played) {
        if (step.kind === 'pass') clock.us += step.us
        else if (step.kind === 'reset') await Promise.all(opened.map(({ store }) => store.reset(subject, quotas)))
        else if (step.kind === 'refund') {
          const of = taken[step.of % Math.max(1, taken.length)]
          if (of === undefined) continue
          const cost = Math.min(of.left, step.cost)
          if (cost === 0) continue
          of.left -= cost
          await Promise.all(opened.map(({ store }) => store.refund(subject, quotas, of.tokens, cost)))
        } else {
          const answers = await Promise.all(
            opened.map(({ store }) =>
              step.kind === 'take'
                ? store.take(subject, quotas, step.cost, step.atLeast)
                : store.peek(subject, quotas, step.cost),
            ),
          )
          const [first, ...others] = answers
          for (const other of others) expect(other).toEqual(first)
          if (first!.granted > 0) taken.push({ tokens: first!.quotas.map(({ token }) => token), left: first!.granted })
        }
      }
    }),
    { numRuns: RUNS },
  )
})
