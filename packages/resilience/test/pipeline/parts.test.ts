import fc from 'fast-check'
import { expect, test } from 'vitest'
import { seededRandom, virtualClock } from '@keelson/kernel/testing'
import { delayMs } from '../../src/pipeline/backoff.ts'
import { Budgets } from '../../src/pipeline/budget.ts'
import { Cells, type CellState } from '../../src/pipeline/cells.ts'
import { Latencies } from '../../src/pipeline/latencies.ts'
import { Limits } from '../../src/pipeline/limits.ts'
import { Throttles } from '../../src/pipeline/throttle.ts'
import { Sleeper, Timeouts } from '../../src/pipeline/timeouts.ts'
import { TokenRate } from '../../src/pipeline/token-rate.ts'

const RUNS = process.env['LONG'] === '1' ? 100_000 : 10_000

test('delays are in their bounds, never below what the upstream asks for, and equal for equal seeds', () => {
  fc.assert(
    fc.property(
      fc.record({
        baseMs: fc.nat(1_000),
        capMs: fc.nat(30_000),
        jitter: fc.constantFrom('full' as const, 'equal' as const, 'none' as const),
      }),
      fc.integer({ min: 1, max: 60 }),
      fc.nat(60_000),
      fc.integer(),
      (backoff, n, floorMs, seed) => {
        const delay = delayMs(backoff, n, floorMs, seededRandom(seed))
        const ceilingMs = Math.min(backoff.capMs, backoff.baseMs * 2 ** (n - 1))
        const least = { full: 0, equal: ceilingMs / 2, none: ceilingMs }[backoff.jitter]
        expect(delay).toBeGreaterThanOrEqual(floorMs + least)
        expect(delay).toBeLessThanOrEqual(floorMs + ceilingMs)
        expect(delayMs(backoff, n, floorMs, seededRandom(seed))).toBe(delay)
      },
    ),
    { numRuns: RUNS },
  )
})

test('a budget is never overdrawn, over any span', () => {
  const steps = fc.array(
    fc.record({ afterMs: fc.constantFrom(0, 1, 100, 5_000), calls: fc.nat(5), takes: fc.nat(4), back: fc.boolean() }),
    { maxLength: 40 },
  )
  const options = fc.record({
    ratio: fc.constantFrom(0, 0.1, 0.5),
    perSecond: fc.constantFrom(0, 1, 7),
    burst: fc.constantFrom(0, 1, 10),
  })
  fc.assert(
    fc.property(steps, options, (played, o) => {
      const budgets = new Budgets(o)
      budgets.resize(1)
      let nowMs = 0
      const log: { nowMs: number; calls: number; retries: number }[] = [{ nowMs: 0, calls: 0, retries: 0 }]
      let [calls, retries] = [0, 0]
      for (const { afterMs, calls: more, takes, back } of played) {
        nowMs += afterMs
        for (let i = 0; i < more; i++, calls++) budgets.call(0, nowMs)
        for (let i = 0; i < takes; i++) if (budgets.take(0, nowMs)) retries++
        if (back && retries > 0) {
          budgets.giveBack(0)
          retries--
          // What is given back was spent in some span before: start anew.
          log.length = 0
        }
        log.push({ nowMs, calls, retries })
        for (const from of log) {
          const allowed = o.burst + o.ratio * (calls - from.calls) + (o.perSecond * (nowMs - from.nowMs)) / 1000
          expect(retries - from.retries).toBeLessThanOrEqual(allowed + 1e-6)
        }
      }
    }),
    { numRuns: RUNS },
  )
})

test('sleepers wake in time and in order, whatever their length, and one that is told otherwise does not', async () => {
  class One extends Sleeper {
    wokenMs: number | undefined
    wake(nowMs: number): void {
      this.wokenMs = nowMs
    }
  }
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          inMs: fc.oneof(fc.nat(40), fc.nat(100_000), fc.double({ min: 0, max: 50, noNaN: true })),
          leaves: fc.boolean(),
        }),
        {
          maxLength: 20,
        },
      ),
      async (given) => {
        const clock = virtualClock()
        const timeouts = new Timeouts(clock)
        const all = given.map(({ inMs, leaves }) => {
          const one = new One()
          timeouts.begin(one, inMs, 0)
          return { one, inMs, leaves }
        })
        for (const { one, leaves } of all) if (leaves) one.list!.remove(one)
        await clock.advance(100_001)
        for (const { one, inMs, leaves } of all) {
          if (leaves) expect(one.wokenMs).toBeUndefined()
          else {
            expect(one.wokenMs).toBeGreaterThanOrEqual(inMs)
            expect(one.wokenMs).toBeLessThanOrEqual(inMs + 1)
          }
        }
        expect(clock.pending()).toBe(0)
      },
    ),
    { numRuns: RUNS / 20 },
  )
})

test('a day, a month and what a timer cannot hold are waited for', async () => {
  const clock = virtualClock()
  const timeouts = new Timeouts(clock)
  class One extends Sleeper {
    wokenMs = 0
    wake(nowMs: number): void {
      this.wokenMs = nowMs
    }
  }
  const lengths = [86_400_000, 30 * 86_400_000, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 5, 90 * 86_400_000]
  const all = lengths.map((inMs) => {
    const one = new One()
    timeouts.begin(one, inMs, 0)
    return one
  })
  await clock.advance('91d')
  expect(all.map(({ wokenMs }) => wokenMs)).toEqual(lengths)
})

test('keys are at most so many, the least recently used idle one leaves, and one that is not idle stays', () => {
  const key = fc.constantFrom(...'abcdefgh')
  fc.assert(
    fc.property(
      fc.array(fc.record({ key, holds: fc.boolean() }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 4 }),
      (used, max) => {
        const cleared: number[] = []
        const state: CellState = { resize: () => {}, isIdle: () => true, clear: (cell) => cleared.push(cell) }
        const cells = new Cells(max, [state])
        let order: string[] = []
        const held = new Set<string>()
        for (const { key: each, holds } of used) {
          const isKnown = order.includes(each)
          if (!isKnown && order.length === max) {
            const leaver = order.find((one) => !held.has(one))
            if (leaver === undefined) {
              expect(cells.of(each, 0)).toBe(1)
              expect(order.every((one) => cells.find(one) !== undefined)).toBe(true)
              continue
            }
            const looked = order.slice(0, order.indexOf(leaver))
            order = [...order.filter((one) => one !== leaver && !looked.includes(one)), ...looked]
          }
          const cell = cells.of(each, 0)
          order = [...order.filter((one) => one !== each), each]
          if (holds && !held.has(each)) {
            held.add(each)
            cells.busy[cell]!++
          } else if (!holds && held.has(each)) {
            held.delete(each)
            cells.busy[cell]!--
          }
          expect(cells.size).toBe(order.length)
          expect(new Set(order.map((one) => cells.find(one))).size).toBe(order.length)
          expect(cells.keyOf(cell)).toBe(each)
        }
      },
    ),
    { numRuns: RUNS },
  )
})

test('a token bucket lets out its burst and then its rate', () => {
  const rate = new TokenRate(10, 1_000, 3)
  const taken = (nowMs: number): number => {
    let count = 0
    while (rate.take(nowMs)) count++
    return count
  }
  expect([taken(0), taken(99), taken(100), taken(10_000)]).toEqual([3, 0, 1, 3])
  expect(rate.retryAfterMs(10_050)).toBe(50)
})

test('a throttle drops what would be refused anyway, and lets everything through again once it is not', () => {
  const random = seededRandom(7)
  const throttles = new Throttles(2, 0.9, random)
  throttles.resize(1)
  const dropped = (nowMs: number, accepted: boolean): number => {
    let count = 0
    for (let i = 0; i < 1_000; i++) {
      if (throttles.admits(0, nowMs)) throttles.settle(0, accepted, nowMs)
      else count++
    }
    return count
  }
  expect(dropped(0, true)).toBe(0)
  const inOutage = dropped(20_000, false)
  expect(inOutage).toBeGreaterThan(800)
  expect(inOutage).toBeLessThan(950)
  dropped(30_000, true)
  expect(dropped(40_000, true)).toBe(0)
})

test('an adaptive limit grows while it is used, falls when calls take longer, and more when one is dropped', () => {
  const limits = new Limits({ adaptive: true, max: 100, min: 2, initial: 20 })
  limits.resize(1)
  let nowMs = 0
  /** A tenth of a second in which a share of the limit was used. */
  const step = (latencyMs: number, used: number): number => {
    const taken = Math.floor(limits.limit(0) * used)
    for (let i = 0; i < taken; i++) limits.take(0)
    for (let i = 0; i < taken; i++) limits.giveBack(0)
    nowMs += 100
    for (let i = 0; i < 10; i++) limits.sample(0, latencyMs, nowMs)
    return limits.limit(0)
  }
  step(10, 1)
  const used = step(10, 1)
  expect(used).toBeGreaterThan(20)
  expect(step(10, 0.2)).toBe(used)
  const slow = step(100, 0.2)
  expect(slow).toBeLessThan(used)
  for (let i = 0; i < 9; i++) limits.sample(0, 10, nowMs)
  limits.drop(0, nowMs + 100)
  expect(limits.limit(0)).toBeLessThanOrEqual((slow + 1) * 0.85)
  for (let i = 0; i < 100; i++) step(1_000, 0.2)
  expect(limits.limit(0)).toBeGreaterThanOrEqual(2)
  // What was fast is forgotten after twenty seconds.
  for (let i = 0; i < 500; i++) step(1_000, 1)
  expect(limits.limit(0)).toBe(100)
})

test('quantiles are within a bucket of the truth, and old latencies are forgotten', () => {
  const latencies = new Latencies()
  expect(latencies.medianMs()).toBe(0)
  for (let i = 1; i <= 100; i++) latencies.add(i)
  expect(latencies.medianMs()).toBeGreaterThanOrEqual(50)
  expect(latencies.medianMs()).toBeLessThan(75)
  expect(latencies.quantileMs(0.95)).toBeGreaterThanOrEqual(95)
  for (let i = 0; i < 5_000; i++) latencies.add(1_000)
  expect(latencies.medianMs()).toBeGreaterThanOrEqual(1_000)
  latencies.add(0)
  latencies.add(10 ** 9)
  expect(latencies.quantileMs(1)).toBeGreaterThan(2_000_000)
})
