import type { IdempotencyErrorCode } from '@keelson/idempotency'
import type { KernelErrorCode } from '@keelson/kernel'
import type { ResilienceErrorCode } from '@keelson/resilience'
import type { HttpErrorCode } from './error.ts'

/** What is the caller's mistake in a call of ours is the handler's bug, not the client's: 500. */
type Mistake =
  | 'OPTION_INVALID'
  | 'INPUT_INVALID'
  | 'SCOPE_INVALID'
  | 'RAW_BODY_UNAVAILABLE'
  | 'CAPTURE_TWICE'
  | 'NOT_INJECTED'
  | 'KEY_INVALID'
  | 'OP_INVALID'
  | 'INPUT_NOT_HASHABLE'
  | 'FINGERPRINT_INVALID'
  | 'REPLY_INVALID'
  | 'STORE_NOT_TRANSACTIONAL'
  | 'EFFECT_NOT_TRANSACTIONAL'
  | 'EFFECT_INVALID'
  | 'ANSWER_CORRUPT'
  | 'TX_ENDED'
  | 'MIGRATION_CHANGED'
  | 'CHAOS'

type Known = KernelErrorCode | IdempotencyErrorCode | ResilienceErrorCode | HttpErrorCode

/** The status of each code that is no mistake; a new code does not compile until it is here or there. */
export const STATUS: Record<Exclude<Known, Mistake>, number> = {
  KEY_IN_USE: 409,
  OUTCOME_UNKNOWN: 409,
  ANSWER_NOT_RETAINED: 409,
  LEASE_LOST: 409,
  KEY_REUSED: 422,
  RATE_LIMITED: 429,
  STORE_UNAVAILABLE: 503,
  TOO_MANY_WAITERS: 503,
  COMMIT_UNKNOWN: 503,
  CLOSED: 503,
  BREAKER_OPEN: 503,
  SHED: 503,
  THROTTLED: 503,
  ATTEMPT_TIMEOUT: 504,
  DEADLINE_EXCEEDED: 504,
}

/** The status of a KeelsonError's code; 500 for a mistake, and for one that this version does not know. */
export function statusOfCode(code: string): number {
  return Object.hasOwn(STATUS, code) ? STATUS[code as keyof typeof STATUS] : 500
}
