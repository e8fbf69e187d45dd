import type { IdempotencyErrorCode } from '@keelson/idempotency'
import type { KernelErrorCode } from '@keelson/kernel'
import type { HttpErrorCode } from './error.ts'

/**
 * The status of each code; a new code does not compile until it has one. What is the caller's mistake in a call of
 * ours (INPUT_INVALID and its kin) is the handler's bug, not the client's: 500.
 */
export const STATUS: Record<KernelErrorCode | IdempotencyErrorCode | HttpErrorCode, number> = {
  KEY_IN_USE: 409,
  OUTCOME_UNKNOWN: 409,
  ANSWER_NOT_RETAINED: 409,
  LEASE_LOST: 409,
  KEY_REUSED: 422,
  STORE_UNAVAILABLE: 503,
  TOO_MANY_WAITERS: 503,
  COMMIT_UNKNOWN: 503,
  CLOSED: 503,

  OPTION_INVALID: 500,
  INPUT_INVALID: 500,
  SCOPE_INVALID: 500,
  RAW_BODY_UNAVAILABLE: 500,
  CAPTURE_TWICE: 500,
  KEY_INVALID: 500,
  OP_INVALID: 500,
  INPUT_NOT_HASHABLE: 500,
  FINGERPRINT_INVALID: 500,
  REPLY_INVALID: 500,
  STORE_NOT_TRANSACTIONAL: 500,
  EFFECT_NOT_TRANSACTIONAL: 500,
  EFFECT_INVALID: 500,
  ANSWER_CORRUPT: 500,
  TX_ENDED: 500,
  MIGRATION_CHANGED: 500,
}

/** The status of a KeelsonError's code; 500 for one that this version does not know. */
export function statusOfCode(code: string): number {
  return Object.hasOwn(STATUS, code) ? STATUS[code as keyof typeof STATUS] : 500
}
