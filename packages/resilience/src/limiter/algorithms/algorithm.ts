import type { QuotaSpec } from '../store.ts'

/** What is counted of one subject in one quota, as integers; see each algorithm. Empty: nothing. */
export type Counted = readonly number[]

/**
 * How a quota counts: pure, in integers, so that every store comes to the same answer. Times in us of the store's
 * clock: the wall clock for a calendar, else any that does not jump.
 */
export interface Algorithm<S extends QuotaSpec> {
  /** Units that fit now. */
  free(spec: S, counted: Counted, nowUs: number): number
  /** Until so many units fit; 0: they do, Infinity: they never will. */
  waitUs(spec: S, counted: Counted, nowUs: number, units: number): number
  /** Until nothing is counted any more. */
  fullUs(spec: S, counted: Counted, nowUs: number): number
  /** Counts units that fit. */
  take(spec: S, counted: Counted, nowUs: number, units: number): { readonly counted: Counted; readonly token: string }
  /** Takes units of one take back. */
  refund(spec: S, counted: Counted, nowUs: number, token: string, units: number): Counted
}
