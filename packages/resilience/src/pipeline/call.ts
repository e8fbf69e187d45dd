import type { Duration } from '@keelson/kernel'
import type { Priority } from './waiters.ts'

/** What the work is given: one for each attempt. */
export interface Call {
  /** Aborts when the attempt is given up: its time is over, or the caller has left. Made when it is first read. */
  readonly signal: AbortSignal
  /** From 1 on; hedges count. */
  readonly attempt: number
  /** Ms that are left for this attempt; Infinity without a limit. */
  readonly remaining: number
  readonly key?: string | undefined
}

/** What may be said of one call. */
export interface CallOptions {
  /** The caller's: when it aborts, the call ends at once with its reason. */
  readonly signal?: AbortSignal | undefined
  /** Whose breaker, limit and budget count: a region, a host, a merchant. 1 to 512 bytes. */
  readonly key?: string | undefined
  /** The nearest of this, the pipeline's and the context's counts. */
  readonly deadline?: Duration | undefined
  /** True: it may run twice at once, so it may be hedged. False: it is begun once, even where the pipeline retries. */
  readonly idempotent?: boolean | undefined
  /** Default 1; 0 is shed last. */
  readonly priority?: Priority | undefined
  /** The tenant. Nothing is done with it yet. */
  readonly scope?: string | undefined
}

/** What a pipeline runs. */
export type Work<R> = (call: Call) => R | PromiseLike<R>
