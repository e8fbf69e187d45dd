import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  afterClaim,
  afterEnd,
  afterSignal,
  afterSlow,
  healed,
  HEALTHY,
  laneCapacity,
  laneOpensMs,
  redrivenCapacity,
  type LaneHealth,
  type LaneRules,
  type LaneSignal,
} from '../src/lane.ts'

const NOW_MS = 1_000_000
const RULES: LaneRules = {
  concurrency: 8,
  rate: null,
  leaseMs: 20_000,
  breaker: { failures: 3, cooldownMs: 30_000, maxCooldownMs: 100_000 },
  disableAfterMs: 400_000,
}

/** A lane that has answered so. */
const lane = (more: Partial<LaneHealth> = {}): LaneHealth => ({ ...HEALTHY, inFlight: 2, limit: 4, ...more })

/** What is different behind a signal. */
function changed(before: LaneHealth, signal: LaneSignal, rules: LaneRules = RULES): Partial<LaneHealth> {
  const after = afterSignal(before, rules, signal, NOW_MS).lane
  return Object.fromEntries(Object.entries(after).filter(([name, value]) => before[name as keyof LaneHealth] !== value))
}

const notices = (before: LaneHealth, signal: LaneSignal, rules = RULES) =>
  afterSignal(before, rules, signal, NOW_MS).notices

describe('what an attempt tells of its lane', () => {
  test.each<[string, LaneHealth, LaneSignal, Partial<LaneHealth>]>([
    ['nothing', lane({ suspect: true, failures: 2 }), { kind: 'none' }, {}],
    ['a fast success: one more', lane(), { kind: 'success', fast: true }, { limit: 5 }],
    ['up to its concurrency', lane({ limit: 8 }), { kind: 'success', fast: true }, {}],
    ['down to a concurrency that is lower now', lane({ limit: 9 }), { kind: 'success', fast: true }, { limit: 8 }],
    ['a slow success', lane(), { kind: 'success', fast: false }, {}],
    ['a slow success of a suspect', lane({ suspect: true }), { kind: 'success', fast: false }, {}],
    ['a fast one', lane({ suspect: true }), { kind: 'success', fast: true }, { suspect: false, limit: 5 }],
    [
      'a success ends all that was bad',
      lane({
        failures: 7,
        openUntilMs: 5,
        cooldownMs: 60_000,
        failingSinceMs: 4,
        noticed: 70,
        blockedUntilMs: 9,
        blockedBy: 'key',
        rateUsedMs: 77,
        redriven: 1,
      }),
      { kind: 'success', fast: false },
      {
        failures: 0,
        openUntilMs: null,
        cooldownMs: 0,
        failingSinceMs: null,
        noticed: 0,
        blockedUntilMs: null,
        blockedBy: null,
      },
    ],
    ['the first failure', lane(), { kind: 'failure' }, { failures: 1, failingSinceMs: NOW_MS }],
    ['another', lane({ failures: 1, failingSinceMs: 900_000 }), { kind: 'failure' }, { failures: 2 }],
    [
      'the failure that opens the breaker',
      lane({ failures: 2, failingSinceMs: 900_000 }),
      { kind: 'failure' },
      { failures: 3, openUntilMs: NOW_MS + 30_000, cooldownMs: 30_000 },
    ],
    [
      'one that was in flight when it opened',
      lane({ failures: 3, failingSinceMs: 900_000, openUntilMs: NOW_MS + 1, cooldownMs: 30_000 }),
      { kind: 'failure' },
      { failures: 4 },
    ],
    [
      'a probe that fails',
      lane({ failures: 3, failingSinceMs: 900_000, openUntilMs: NOW_MS, cooldownMs: 30_000 }),
      { kind: 'failure' },
      { failures: 4, openUntilMs: NOW_MS + 60_000, cooldownMs: 60_000 },
    ],
    [
      'a probe that fails again',
      lane({ failures: 9, failingSinceMs: 900_000, openUntilMs: 5, cooldownMs: 60_000 }),
      { kind: 'failure' },
      { failures: 10, openUntilMs: NOW_MS + 100_000, cooldownMs: 100_000 },
    ],
    ['a timeout', lane(), { kind: 'timeout' }, { failures: 1, failingSinceMs: NOW_MS, suspect: true, limit: 1 }],
    [
      'a receiver that asks for a pause',
      lane({ limit: 7 }),
      { kind: 'slow-down', blockMs: 500 },
      { limit: 3, blockedUntilMs: NOW_MS + 500, blockedBy: 'receiver', failingSinceMs: NOW_MS },
    ],
    [
      'for less than it has',
      lane({ limit: 1, blockedUntilMs: NOW_MS + 501, blockedBy: 'key', failingSinceMs: 900_000 }),
      { kind: 'slow-down', blockMs: 500 },
      {},
    ],
    ['a key that is missing', lane(), { kind: 'no-key', blockMs: 9 }, { blockedUntilMs: NOW_MS + 9, blockedBy: 'key' }],
    ['a receiver that is gone', lane(), { kind: 'gone' }, { failingSinceMs: NOW_MS }],
  ])('%s', (_, before, signal, after) => {
    expect(changed(before, signal)).toEqual(after)
  })

  test('without a breaker failures are only counted', () => {
    expect(
      changed(lane({ failures: 99, failingSinceMs: 900_000 }), { kind: 'failure' }, { ...RULES, breaker: null }),
    ).toEqual({
      failures: 100,
    })
  })
})

describe('what somebody hears of a lane', () => {
  test.each<[number, number, ReturnType<typeof notices>]>([
    [0, 0, []],
    [49.9, 0, []],
    [50, 0, [{ kind: 'failing', percent: 50 }]],
    [60, 50, []],
    [70, 50, [{ kind: 'failing', percent: 70 }]],
    [95, 0, [{ kind: 'failing', percent: 90 }]],
    [95, 90, []],
    [100, 90, [{ kind: 'disabled', reason: 'failing' }]],
    [500, 0, [{ kind: 'disabled', reason: 'failing' }]],
  ])('after %d %% of the time, told of %d', (percent, noticed, told) => {
    const before = lane({ failingSinceMs: NOW_MS - percent * 4_000, noticed, failures: 1 })
    for (const signal of [{ kind: 'failure' }, { kind: 'timeout' }, { kind: 'slow-down', blockMs: 1 }] as const) {
      expect(notices(before, signal)).toEqual(told)
    }
    expect(notices(before, { kind: 'failure' }, { ...RULES, disableAfterMs: null })).toEqual([])
  })

  test('a success is told only by who was known to fail', () => {
    const success = { kind: 'success', fast: true } as const
    expect(notices(lane({ failures: 2, failingSinceMs: 5 }), success)).toEqual([])
    expect(notices(lane({ openUntilMs: 5 }), success)).toEqual([{ kind: 'recovered' }])
    expect(notices(lane({ noticed: 50 }), success)).toEqual([{ kind: 'recovered' }])
  })

  test('who is gone is disabled', () => {
    expect(notices(lane(), { kind: 'gone' })).toEqual([{ kind: 'disabled', reason: 'gone' }])
  })
})

describe('who may be claimed', () => {
  test('the limit counts, and the concurrency, and one while the breaker is open', () => {
    expect(laneCapacity(lane(), RULES)).toBe(4)
    expect(laneCapacity(lane({ limit: 20 }), RULES)).toBe(8)
    expect(laneCapacity(lane({ openUntilMs: 1 }), RULES)).toBe(1)
  })

  test.each([
    [1, 1],
    [4, 1],
    [7, 1],
    [8, 2],
  ])('of %d in flight %d may be redriven', (limit, redriven) => {
    expect(redrivenCapacity(lane({ limit }), RULES)).toBe(redriven)
  })

  test('receiver, breaker and rate must all allow it', () => {
    const rate = { limit: 4, perMs: 400 }
    expect(laneOpensMs(lane(), { rate: null })).toBe(0)
    expect(laneOpensMs(lane({ blockedUntilMs: 5, openUntilMs: 7, rateUsedMs: 306 }), { rate })).toBe(7)
    expect(laneOpensMs(lane({ blockedUntilMs: 9, openUntilMs: 7, rateUsedMs: 306 }), { rate })).toBe(9)
    expect(laneOpensMs(lane({ blockedUntilMs: 5, rateUsedMs: 310 }), { rate })).toBe(10)
    expect(laneOpensMs(lane({ rateUsedMs: 310 }), { rate: null })).toBe(0)
  })

  test('a claim takes a slot, and its end gives it back', () => {
    for (const redriven of [true, false]) {
      const claimed = afterClaim(lane(), RULES, redriven, NOW_MS)
      expect([claimed.inFlight, claimed.redriven]).toEqual([3, redriven ? 1 : 0])
      expect(afterEnd(claimed, redriven)).toEqual(lane())
    }
  })

  test('slow is suspect with a limit of 1', () => {
    expect(afterSlow(lane())).toEqual(lane({ suspect: true, limit: 1 }))
  })

  test('healing keeps what is in flight and the rate', () => {
    const sick = { ...lane({ redriven: 1, rateUsedMs: 9 }), failures: 4, suspect: true, openUntilMs: 3, noticed: 50 }
    expect(healed(sick)).toEqual({ ...HEALTHY, inFlight: 2, redriven: 1, rateUsedMs: 9 })
  })
})

const signal: fc.Arbitrary<LaneSignal> = fc.oneof(
  fc.record({ kind: fc.constant('success' as const), fast: fc.boolean() }),
  fc.record({ kind: fc.constantFrom('failure' as const, 'timeout' as const, 'gone' as const, 'none' as const) }),
  fc.record({ kind: fc.constantFrom('slow-down' as const, 'no-key' as const), blockMs: fc.nat(10_000) }),
)
const rules: fc.Arbitrary<LaneRules> = fc.record({
  concurrency: fc.integer({ min: 1, max: 20 }),
  rate: fc.option(fc.record({ limit: fc.integer({ min: 1, max: 9 }), perMs: fc.integer({ min: 1, max: 9_000 }) })),
  leaseMs: fc.constant(1_000),
  breaker: fc.option(
    fc.record({
      failures: fc.integer({ min: 1, max: 5 }),
      cooldownMs: fc.integer({ min: 1, max: 1_000 }),
      maxCooldownMs: fc.integer({ min: 1_000, max: 9_000 }),
    }),
  ),
  disableAfterMs: fc.option(fc.integer({ min: 1, max: 50_000 })),
})

test('whatever attempts tell, a lane stays within its rules', () => {
  fc.assert(
    fc.property(rules, fc.array(fc.tuple(signal, fc.nat(2_000)), { maxLength: 60 }), (its, told) => {
      let nowMs = NOW_MS
      let now = HEALTHY
      for (const [each, ms] of told) {
        nowMs += ms
        const before = now
        const after = afterSignal(afterClaim(now, its, false, nowMs), its, each, nowMs)
        now = afterEnd(after.lane, false)
        expect(now.inFlight).toBe(0)
        expect(now.limit).toBeGreaterThanOrEqual(1)
        expect(now.limit).toBeLessThanOrEqual(Math.max(its.concurrency, 1))
        expect(now.limit - before.limit).toBeLessThanOrEqual(1)
        if (now.suspect) expect(now.limit).toBe(1)
        if (its.breaker === null) expect(now.openUntilMs).toBeNull()
        else if (now.openUntilMs !== null) {
          expect(now.cooldownMs).toBeLessThanOrEqual(Math.max(its.breaker.cooldownMs, its.breaker.maxCooldownMs))
          expect(now.openUntilMs - nowMs).toBeLessThanOrEqual(now.cooldownMs)
        }
        expect(now.blockedUntilMs === null).toBe(now.blockedBy === null)
        if (each.kind === 'success') expect([now.failures, now.failingSinceMs]).toEqual([0, null])
      }
    }),
  )
})

test('a rate gives its limit at once, and then at most one each interval', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 400 }),
      fc.array(fc.nat(60), { minLength: 20, maxLength: 120 }),
      (limit, intervalMs, waits) => {
        const its = { ...RULES, rate: { limit, perMs: limit * intervalMs } }
        let nowMs = NOW_MS
        let now = HEALTHY
        const claimedMs: number[] = []
        for (const waitMs of waits) {
          nowMs += waitMs
          if (laneOpensMs(now, its) > nowMs) continue
          now = afterClaim(now, its, false, nowMs)
          claimedMs.push(nowMs)
        }
        for (const [i, fromMs] of claimedMs.entries()) {
          for (const [j, toMs] of claimedMs.entries()) {
            if (j < i) continue
            expect(j - i + 1).toBeLessThanOrEqual(limit + Math.floor((toMs - fromMs) / intervalMs + 1e-6))
          }
        }
        // Who is refused has used it up.
        const opensMs = laneOpensMs(now, its)
        expect(opensMs - nowMs).toBeLessThanOrEqual(intervalMs + 1e-6)
      },
    ),
  )
})
