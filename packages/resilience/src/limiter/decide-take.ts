import type { Algorithm, Counted } from './algorithms/algorithm.ts'
import { buckets } from './algorithms/buckets.ts'
import { gcra } from './algorithms/gcra.ts'
import { log } from './algorithms/log.ts'
import { calendar, fixed, isElsewhen } from './algorithms/period.ts'
import type { QuotaSpec, StoreAnswer } from './store.ts'

const ALGORITHMS = { log, buckets, gcra, fixed, calendar } satisfies Record<QuotaSpec['algorithm'], Algorithm<never>>

/** How this quota counts. */
export function algorithmOf(spec: QuotaSpec): Algorithm<QuotaSpec> {
  return ALGORITHMS[spec.algorithm]
}

/** The store's clocks, in us: one that does not jump for windows, the wall for calendars. */
export interface StoreTime {
  readonly nowUs: number
  readonly wallUs: number
}

/** A quota with what is counted in it. */
export interface Held {
  readonly spec: QuotaSpec
  readonly counted: Counted
}

/** Which of its clocks a quota goes by. */
export function timeOf(spec: QuotaSpec, { nowUs, wallUs }: StoreTime): number {
  return spec.algorithm === 'calendar' ? wallUs : nowUs
}

/**
 * What a take is answered, and what is counted from then on: all quotas give, or none does. A take of 0 with
 * `atLeast` only asks.
 */
export function decideTake(
  held: readonly Held[],
  time: StoreTime,
  cost: number,
  atLeast: number,
): { readonly answer: StoreAnswer; readonly counted: readonly Counted[] } {
  const nowMs = time.wallUs / 1_000
  if (held.some(({ spec }) => spec.algorithm === 'calendar' && isElsewhen(spec, time.wallUs)))
    return { answer: { granted: 0, nowMs, quotas: [] }, counted: [] }

  const fits = Math.min(
    cost,
    ...held.map(({ spec, counted }) => algorithmOf(spec).free(spec, counted, timeOf(spec, time))),
  )
  const granted = fits >= atLeast ? fits : 0
  const decided = held.map(({ spec, counted: before }) => {
    const how = algorithmOf(spec)
    const nowUs = timeOf(spec, time)
    const { counted, token } = granted > 0 ? how.take(spec, before, nowUs, granted) : { counted: before, token: '' }
    const answer = {
      remaining: how.free(spec, counted, nowUs),
      retryAfterMs: granted > 0 ? 0 : msOf(how.waitUs(spec, before, nowUs, atLeast)),
      resetMs: msOf(how.fullUs(spec, counted, nowUs)),
      token,
    }
    return { answer, counted }
  })
  return {
    answer: { granted, nowMs, quotas: decided.map(({ answer }) => answer) },
    counted: granted > 0 ? decided.map(({ counted }) => counted) : [],
  }
}

/** Whole ms, after which it is so. */
export function msOf(us: number): number {
  return Math.ceil(us / 1_000)
}
