import { context, type KeelsonContext } from '@keelson/kernel'

/** What one request has cost so far. Whoever costs something adds to it. */
export interface Counters {
  /** Round trips to databases that {@link watchDatabase} watches: statements that travel together count once. */
  queries: number
  /** What those took together, in ms; side by side they add up. */
  queryMs: number
  /** Reads of caches that were answered out of them, stale data included. Of the caches of a process whose http has one. */
  cacheHits: number
  /** All other reads. */
  cacheMisses: number
  /** Calls of pipelines of `@keelson/resilience` in this process, `resilientFetch` among them; retries are part of one. */
  calls: number
  /** What those took together, in ms. */
  callMs: number
}

/** On the context, so that it follows the request wherever that goes, and shared between two copies of this package. */
const COUNTERS: unique symbol = Symbol.for('keelson.http.counters') as never
type Counted = KeelsonContext & { readonly [COUNTERS]?: Counters }

/** Makes a context count that nobody else has seen yet. */
export function counted(values: KeelsonContext, counts: Counters): KeelsonContext {
  ;(values as { [COUNTERS]?: Counters })[COUNTERS] = counts
  return values
}

/** All zero. */
export function noCounts(): Counters {
  return { queries: 0, queryMs: 0, cacheHits: 0, cacheMisses: 0, calls: 0, callMs: 0 }
}

/** Where the running request is counted; undefined outside of one. */
export function runningCounts(): Counters | undefined {
  const running: Counted | undefined = context.get()
  return running?.[COUNTERS]
}

/** A copy of what the running request has cost so far; undefined outside of one. */
export function counters(): Readonly<Counters> | undefined {
  const counts = runningCounts()
  return counts === undefined ? undefined : { ...counts }
}
