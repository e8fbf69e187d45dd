/*
 * Words: a quota is one limit of a limiter, a subject who is limited (a digest of limiter, scope and key), a unit what
 * a cost of 1 takes. A window is a length of time, a period one that begins and ends at fixed instants.
 */

/** What a store must know of a quota. */
export type QuotaSpec = WindowSpec | GcraSpec | CalendarSpec

interface AnySpec {
  /**
   * Names the counter of a subject: 1 to 200 characters without spaces and braces. Another length of time, and another
   * way to count, has another key.
   */
  readonly key: string
  /** Units in a window or period; a positive integer. */
  readonly limit: number
}

/**
 * 'log': the instant of each unit, so at most `limit` in any window. 'buckets': the same from 60 sub-buckets, each of
 * which counts until the last unit that it might hold has left. 'fixed': windows that begin at multiples of their
 * length, by the store's clock.
 */
export interface WindowSpec extends AnySpec {
  readonly algorithm: 'log' | 'buckets' | 'fixed'
  readonly windowMs: number
}

/** A bucket of `burst` units that fills with `limit` units a window: up to `burst + limit` in any window. */
export interface GcraSpec extends AnySpec {
  readonly algorithm: 'gcra'
  readonly windowMs: number
  readonly burst: number
}

/** Periods of a calendar; the store's clock says which of the three it is. */
export interface CalendarSpec extends AnySpec {
  readonly algorithm: 'calendar'
  /** Where the previous, the current and the next period begin and the last of them ends; ms since 1970. */
  readonly bounds: readonly [previous: number, current: number, next: number, end: number]
}

/** What a store says of one quota. */
export interface QuotaAnswer {
  /** Units that fit now. */
  readonly remaining: number
  /** Until what was asked for fits; 0: it does, Infinity: it never will. */
  readonly retryAfterMs: number
  /** Until nothing is counted any more. */
  readonly resetMs: number
  /** Where the units were counted, for `refund`; empty when none were. */
  readonly token: string
}

/** What a store says. */
export interface StoreAnswer {
  /** Units that were counted in every quota; 0: nothing was written. */
  readonly granted: number
  /** The store's wall clock, ms. */
  readonly nowMs: number
  /** In the order of the quotas. Empty: by the store's clock it is none of a calendar's periods; ask again around `nowMs`. */
  readonly quotas: readonly QuotaAnswer[]
}

/** Counts units. Each method is one atomic step, in the store's time; what has expired is as if it had never been. */
export interface LimiterStore {
  /**
   * Counts `cost` units in each quota, or, when they do not fit everywhere, as many as do but no less than `atLeast`
   * (`cost`); else nothing is written. 1 round trip.
   */
  take(subject: string, quotas: readonly QuotaSpec[], cost: number, atLeast?: number): Promise<StoreAnswer>
  /** What a take of `cost` would be told; writes nothing. 1 round trip. */
  peek(subject: string, quotas: readonly QuotaSpec[], cost: number): Promise<StoreAnswer>
  /** Takes `cost` units of a take back, from where its tokens say that they were counted; what has left stays out. */
  refund(subject: string, quotas: readonly QuotaSpec[], tokens: readonly string[], cost: number): Promise<void>
  /** Forgets what was counted in these quotas. */
  reset(subject: string, quotas: readonly QuotaSpec[]): Promise<void>
  /** Removes at most `count` expired counters; how many. Only of stores where they do not go by themselves. */
  sweep?(count: number): Promise<number>
  close?(): Promise<void>
}
