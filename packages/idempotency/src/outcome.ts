import { IdempotencyError } from './error.ts'

/** Why a call was not run and has no stored answer to give. */
export type RefusalCode =
  | 'KEY_REUSED'
  | 'KEY_IN_USE'
  | 'OUTCOME_UNKNOWN'
  | 'ANSWER_NOT_RETAINED'
  | 'LEASE_LOST'
  | 'TOO_MANY_WAITERS'
  | 'STORE_UNAVAILABLE'

/** What came of a call. Refusals are values, so a nested one is never mistaken for ours. */
export type Outcome<T> = Executed<T> | Refused

/** The work's value, made now or by an earlier call. */
export interface Executed<T> {
  readonly ok: true
  readonly kind: 'executed' | 'replayed' | 'unprotected'
  readonly value: T
  /** True when this value was made by an earlier call. */
  readonly replayed: boolean
  /** True when another call was waited for. */
  readonly waited: boolean
  /** True when a repeat will get this value. */
  readonly stored: boolean
  /** 1 for the first run of the key. */
  readonly attempt: number
  /** Of the run that made the value. */
  readonly operationId: string
  /** W3C traceparent of that run, for a span link. */
  readonly firstTraceparent?: string
}

/** Nothing was run, and there is no answer to give. */
export interface Refused {
  readonly ok: false
  readonly code: RefusalCode
  readonly retryable: boolean
  /** Milliseconds. */
  readonly retryAfter?: number
  /** The refusal as an error to throw. */
  error(): IdempotencyError
}

const MESSAGE: Record<RefusalCode, string> = {
  KEY_REUSED: 'this key was used with another payload',
  KEY_IN_USE: 'the first call with this key is still running',
  OUTCOME_UNKNOWN: 'the first call with this key ended without saying how; resolve() it',
  ANSWER_NOT_RETAINED: 'this key was used; its answer was too large or of a kind that is not kept',
  LEASE_LOST: 'another caller has taken this key over',
  TOO_MANY_WAITERS: 'too many callers wait for this key',
  STORE_UNAVAILABLE: 'the idempotency store is unavailable',
}

/** A refusal. `retryAfter` in ms. */
export function refused(code: RefusalCode, more: { retryAfter?: number; cause?: unknown } = {}): Refused {
  const error = (): IdempotencyError => new IdempotencyError(code, MESSAGE[code], more)
  return {
    ok: false,
    code,
    retryable: error().retryable,
    ...(more.retryAfter === undefined ? {} : { retryAfter: more.retryAfter }),
    error,
  }
}

/** The value of an outcome; a refusal is thrown as IdempotencyError. */
export function unwrap<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value
  throw outcome.error()
}
