import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { verdictOf, type Ended } from '../src/verdict.ts'

const retry = { scheduleMs: [0, 1_000, 60_000], jitter: 0.2 }
const DAY_MS = 24 * 60 * 60 * 1_000

/** An answer, decided as the first attempt's unless told otherwise. */
function decide(ended: Partial<Ended>, spent = 1, random = 0) {
  return verdictOf({ outcome: 'status', status: null, retryAfterMs: null, fast: true, ...ended }, retry, spent, random)
}

const percent = fc.integer({ min: 0, max: 100 }).map((part) => part / 100)

const again = { kind: 'retry', afterMs: 1_000 }

describe('the table of answers', () => {
  test.each([200, 201, 204, 299])('%i is a success', (status) => {
    expect(decide({ outcome: 'success', status })).toEqual({
      end: { kind: 'succeeded' },
      signal: { kind: 'success', fast: true },
    })
    expect(decide({ outcome: 'success', status, fast: false }).signal).toEqual({ kind: 'success', fast: false })
  })

  test('410 is the end of the endpoint', () => {
    const gone = { end: { kind: 'dead', reason: 'gone' }, signal: { kind: 'gone' } }
    expect(decide({ status: 410 })).toEqual(gone)
    expect(decide({ status: 410, retryAfterMs: 5_000 }, 3)).toEqual(gone)
    // Its head came in time, but not all of it: that is a timeout.
    expect(decide({ outcome: 'timeout', status: 410 })).toEqual({ end: again, signal: { kind: 'timeout' } })
  })

  test.each([301, 302, 303, 307, 308, 304])('%i is a failure', (status) => {
    expect(decide({ outcome: 'redirect', status })).toEqual({ end: again, signal: { kind: 'failure' } })
  })

  test.each([429, 502, 503, 504])('%i asks for less', (status) => {
    expect(decide({ status })).toEqual({ end: again, signal: { kind: 'slow-down', blockMs: 1_000 } })
    expect(decide({ status, retryAfterMs: 7_000 })).toEqual({
      end: { kind: 'retry', afterMs: 7_000 },
      signal: { kind: 'slow-down', blockMs: 7_000 },
    })
    // The step is longer than what is asked for: it counts for the delivery, not for its lane.
    expect(decide({ status, retryAfterMs: 7_000 }, 2)).toEqual({
      end: { kind: 'retry', afterMs: 60_000 },
      signal: { kind: 'slow-down', blockMs: 7_000 },
    })
    // Hours of a late step do not stop the lane for hours.
    expect(decide({ status }, 2).signal).toEqual({ kind: 'slow-down', blockMs: 30_000 })
    expect(decide({ status, retryAfterMs: 7_000 }, 3)).toEqual({
      end: { kind: 'dead', reason: 'exhausted' },
      signal: { kind: 'slow-down', blockMs: 7_000 },
    })
    expect(decide({ status }, 3).signal).toEqual({ kind: 'slow-down', blockMs: 0 })
  })

  test.each([400, 401, 403, 404, 409, 411, 422, 428, 430, 500, 501, 505, 599])('%i is a failure', (status) => {
    expect(decide({ status })).toEqual({ end: again, signal: { kind: 'failure' } })
  })

  test.each(['dns', 'connect', 'tls', 'reset', 'protocol'] as const)('%s is a failure', (outcome) => {
    expect(decide({ outcome })).toEqual({ end: again, signal: { kind: 'failure' } })
  })

  test('a timeout makes its lane suspect, whatever came of an answer', () => {
    for (const status of [null, 200, 503]) {
      expect(decide({ outcome: 'timeout', status })).toEqual({ end: again, signal: { kind: 'timeout' } })
    }
  })

  test.each(['refused', 'proxy'] as const)('%s is never tried again', (outcome) => {
    for (const spent of [1, 2, 3]) {
      expect(decide({ outcome }, spent)).toEqual({
        end: { kind: 'dead', reason: 'refused' },
        signal: { kind: 'failure' },
      })
    }
  })

  test('the schedule ends', () => {
    expect(decide({ status: 500 }, 2).end).toEqual({ kind: 'retry', afterMs: 60_000 })
    expect(decide({ status: 500 }, 3)).toEqual({
      end: { kind: 'dead', reason: 'exhausted' },
      signal: { kind: 'failure' },
    })
    expect(decide({ status: 500 }, 4).end).toEqual({ kind: 'dead', reason: 'exhausted' })
    expect(decide({ outcome: 'success', status: 200 }, 9).end).toEqual({ kind: 'succeeded' })
  })
})

test('Retry-After counts on every other answer too, up to a day', () => {
  expect(decide({ status: 404, retryAfterMs: 5_000 })).toEqual({
    end: { kind: 'retry', afterMs: 5_000 },
    signal: { kind: 'failure' },
  })
  expect(decide({ outcome: 'redirect', status: 301, retryAfterMs: 5_000 }).end).toEqual({
    kind: 'retry',
    afterMs: 5_000,
  })
  expect(decide({ status: 503, retryAfterMs: 100 * DAY_MS })).toEqual({
    end: { kind: 'retry', afterMs: DAY_MS },
    signal: { kind: 'slow-down', blockMs: DAY_MS },
  })
})

test.each([
  [0, 1_000],
  [0.25, 1_050],
  [0.5, 1_100],
  [0.999_999, 1_200],
])('chance of %d makes a second %d ms', (random, afterMs) => {
  expect(decide({ status: 500 }, 1, random).end).toEqual({ kind: 'retry', afterMs })
})

test('chance only adds to a step, at most its part, and nobody comes earlier than asked', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(DAY_MS), { minLength: 1, maxLength: 50 }),
      percent,
      percent,
      fc.nat(60),
      fc.option(fc.nat(2 * DAY_MS)),
      fc.constantFrom(400, 429, 500, 503),
      (scheduleMs, jitter, random, before, retryAfterMs, status) => {
        const spent = before + 1
        const ended: Ended = { outcome: 'status', status, retryAfterMs, fast: true }
        const { end } = verdictOf(ended, { scheduleMs, jitter }, spent, random)
        const stepMs = scheduleMs[spent]
        if (stepMs === undefined) {
          expect(end).toEqual({ kind: 'dead', reason: 'exhausted' })
          return
        }
        const { afterMs } = end as { afterMs: number }
        const askedMs = Math.min(retryAfterMs ?? 0, DAY_MS)
        expect(Number.isInteger(afterMs)).toBe(true)
        expect(afterMs).toBeGreaterThanOrEqual(Math.max(stepMs, askedMs))
        expect(afterMs).toBeLessThanOrEqual(Math.max(Math.ceil(stepMs * (1 + jitter)), askedMs))
      },
    ),
  )
})
