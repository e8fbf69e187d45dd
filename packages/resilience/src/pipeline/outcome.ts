/** Why there is no value. */
export type FailureKind =
  | 'open'
  | 'shed'
  | 'throttled'
  | 'rate'
  | 'timeout'
  | 'deadline'
  | 'aborted'
  | 'failed'
  | 'closed'

/** Why a retry that the policy has was not made. */
export type Suppressed = 'budget' | 'deadline' | 'open' | 'shed' | 'layer'

/** A call that came to nothing. */
export interface Failure {
  readonly ok: false
  /**
   * `open`, `shed`, `throttled`, `rate`: refused here, the upstream was not asked. `timeout`: the last attempt took too
   * long. `deadline`: the call did. `aborted`: by the caller. `failed`: by the upstream. `closed`: the pipeline was.
   */
  readonly kind: FailureKind
  /** What `run` rejects with: of `failed` the upstream's own error, of `aborted` the signal's reason. */
  readonly error: unknown
  /** Ms until another call can succeed, where that is known. */
  readonly retryAfter?: number | undefined
  /** How often the work was begun. */
  readonly attempts: number
  readonly suppressed?: Suppressed | undefined
}

/** What `try` answers. */
export type Outcome<R> =
  | {
      readonly ok: true
      readonly value: R
      /** How often the work was begun; 0 when the fallback answered for a refusal. */
      readonly attempts: number
      /** True when the value is the fallback's. */
      readonly fallback: boolean
    }
  | Failure
