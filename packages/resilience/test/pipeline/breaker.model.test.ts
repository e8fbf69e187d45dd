import fc from 'fast-check'
import { expect, test } from 'vitest'
import { seededRandom } from '@keelson/kernel/testing'
import { Breakers, NO_PROBE, REFUSED, type BreakerSettings } from '../../src/pipeline/breaker.ts'
import { CallWindow, TimeWindow, type RollingWindow } from '../../src/pipeline/rolling-window.ts'
import type { Class } from '../../src/pipeline/verdict.ts'

const RUNS = process.env['LONG'] === '1' ? 300_000 : 20_000

/** As `expect` says it; which costs a hundred times as much where it holds. */
function same(are: readonly unknown[], should: readonly unknown[]): void {
  if (are.some((each, at) => each !== should[at])) expect(are).toEqual(should)
}

function countsOf({ total, failed, slow }: RollingWindow): unknown[] {
  return [total[1], failed[1], slow[1]]
}

const bySlots = fc.array(
  fc.record({
    afterMs: fc.constantFrom(0, 1, 9, 10, 11, 50, 99, 100, 101, 1_000),
    failed: fc.boolean(),
    slow: fc.boolean(),
  }),
  { maxLength: 40 },
)

test('a window of time holds what falls into its ten newest slots, however time moves on', () => {
  fc.assert(
    fc.property(bySlots, fc.nat(1_000_000), (added, startMs) => {
      const window = new TimeWindow(100, true)
      window.resize(3)
      let nowMs = startMs
      const all: { slot: number; failed: boolean; slow: boolean }[] = []
      for (const { afterMs, failed, slow } of added) {
        nowMs += afterMs
        window.add(1, nowMs, failed, slow)
        window.add(2, nowMs, true, true)
        all.push({ slot: Math.floor(nowMs / 10), failed, slow })
        const inside = all.filter(({ slot }) => slot > Math.floor(nowMs / 10) - 10)
        same(countsOf(window), [
          inside.length,
          inside.filter((each) => each.failed).length,
          inside.filter((each) => each.slow).length,
        ])
      }
      window.roll(1, nowMs + 100)
      expect([window.total[1], window.failed[1], window.slow[1], window.total[0]]).toEqual([0, 0, 0, 0])
    }),
    { numRuns: RUNS },
  )
})

test('a window of calls holds the last of them', () => {
  fc.assert(
    fc.property(bySlots, fc.integer({ min: 1, max: 12 }), (added, calls) => {
      const window = new CallWindow(calls)
      window.resize(2)
      added.forEach(({ failed, slow }, at) => {
        window.add(1, 0, failed, slow)
        const inside = added.slice(Math.max(0, at + 1 - calls), at + 1)
        same(countsOf(window), [
          inside.length,
          inside.filter((each) => each.failed).length,
          inside.filter((each) => each.slow).length,
        ])
      })
    }),
    { numRuns: Math.floor(RUNS / 3) },
  )
})

const settings: fc.Arbitrary<BreakerSettings> = fc.record({
  window: fc.constantFrom({ ms: 100 }, { calls: 4 }),
  minCalls: fc.constantFrom(1, 3, 4),
  failRate: fc.constantFrom(0.3, 0.5, 1),
  consecutive: fc.constantFrom(false as const, 1, 3),
  slow: fc.constantFrom(undefined, { overMs: 10, rate: 0.5 }),
  openMinMs: fc.constantFrom(10, 40),
  openMaxMs: fc.constantFrom(40, 160),
  probes: fc.constantFrom(1, 2, 3),
  probeLeaseMs: fc.constantFrom(5, 100),
  rampUpMs: fc.constantFrom(0, 50),
})
const step = fc.oneof(
  fc.record({ kind: fc.constant('advance' as const), byMs: fc.constantFrom(0, 1, 5, 10, 40, 100, 200) }),
  fc.record({ kind: fc.constant('admit' as const) }),
  fc.record({ kind: fc.constant('admit' as const) }),
  fc.record({
    kind: fc.constant('settle' as const),
    ticket: fc.nat(20),
    verdict: fc.constantFrom<Class>('ok', 'ok', 'ignore', 'retry', 'throttle', 'fatal'),
    slow: fc.boolean(),
    retryAfterMs: fc.constantFrom(0, 300),
  }),
)

interface Ticket {
  readonly generation: number
  readonly probe: number
  readonly atMs: number
}

test('probes are never exceeded, old tickets are inert, and it opens by what the window holds', () => {
  fc.assert(
    fc.property(settings, fc.array(step, { maxLength: 60 }), fc.integer(), (given, steps, seed) => {
      const random = seededRandom(seed)
      const changes: string[] = []
      const breakers = new Breakers(given, random, (_, from, to, reason) => changes.push(`${from} ${to} ${reason}`))
      breakers.resize(2)
      const [CELL, OTHER] = [1, 0]
      const open: Ticket[] = []
      let nowMs = 1_000
      let openedMs = 0
      let atLeastMs = 0
      let reopened = 0
      let probing = { ok: 0, inFlight: new Set<Ticket>() }

      /** Whatever has just happened. */
      const follow = (before: number, reason: { retryAfterMs: number }): void => {
        for (const change of changes.slice(before)) {
          if (/ open /.test(change)) {
            openedMs = nowMs
            reopened = change.startsWith('half-open') ? reopened + 1 : 0
            // What a probe answers after its lease is not heard.
            atLeastMs = Math.max(given.openMinMs, change.endsWith('lease') ? 0 : reason.retryAfterMs)
          }
          if (/ half-open /.test(change)) probing = { ok: 0, inFlight: new Set() }
        }
      }

      for (const each of steps) {
        const before = changes.length
        if (each.kind === 'advance') {
          nowMs += each.byMs
          continue
        }
        const generation = breakers.generation[CELL]!
        if (each.kind === 'admit') {
          const state = breakers.state(CELL, nowMs)
          const refuses = breakers.refuses(CELL, nowMs)
          const probe = breakers.admit(CELL, nowMs)
          follow(before, { retryAfterMs: 0 })
          if (state === 'open') {
            expect(probe).toBe(REFUSED)
            expect(refuses).toBe(true)
            expect(breakers.retryAfterMs(CELL, nowMs)).toBeGreaterThan(0)
            const longestMs = Math.max(
              atLeastMs,
              Math.min(given.openMaxMs, given.openMinMs * 2 ** reopened),
              given.openMinMs,
            )
            expect(nowMs - openedMs).toBeLessThan(Math.max(longestMs, 300))
          }
          if (state === 'closed') expect(probe).toBe(NO_PROBE)
          if (probe === REFUSED) continue
          const ticket = { generation: breakers.generation[CELL]!, probe, atMs: nowMs }
          open.push(ticket)
          if (state === 'half-open') {
            expect(nowMs - openedMs).toBeGreaterThanOrEqual(atLeastMs)
            probing.inFlight.add(ticket)
            expect(probing.ok + probing.inFlight.size).toBeLessThanOrEqual(given.probes)
          }
          continue
        }
        const ticket = open.splice(each.ticket % Math.max(1, open.length), 1)[0]
        if (ticket === undefined) continue
        const { total, failed } = breakers.window
        const counts = [total[CELL], failed[CELL]]
        const { verdict, slow, retryAfterMs } = each
        const state = breakers.state(CELL, nowMs)
        breakers.settle(
          CELL,
          ticket.generation,
          ticket.probe,
          verdict,
          slow && given.slow !== undefined,
          retryAfterMs,
          nowMs,
        )
        follow(before, { retryAfterMs: verdict === 'ok' ? 0 : retryAfterMs })
        if (ticket.generation !== generation) {
          // I2
          expect(changes.length).toBe(before)
          expect([total[CELL], failed[CELL]]).toEqual(counts)
        } else if (state === 'half-open') {
          probing.inFlight.delete(ticket)
          if (verdict === 'ok') probing.ok++
          const isLate = nowMs - ticket.atMs >= given.probeLeaseMs
          const isBad = isLate || (verdict !== 'ignore' && (verdict !== 'ok' || (slow && given.slow !== undefined)))
          if (isBad) expect(breakers.state(CELL, nowMs)).toBe('open')
        } else if (verdict !== 'ok' && verdict !== 'ignore' && given.minCalls === 1) {
          if (failed[CELL]! >= given.failRate * total[CELL]! && total[CELL]! > 0) {
            expect(breakers.state(CELL, nowMs)).toBe('open')
          }
        }
      }
      expect(breakers.state(OTHER, nowMs)).toBe('closed')
    }),
    { numRuns: RUNS },
  )
})
