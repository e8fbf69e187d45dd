import type { AuditErrorCode } from '@keelson/audit'
import type { IdempotencyErrorCode } from '@keelson/idempotency'
import type { KernelErrorCode } from '@keelson/kernel'
import type { ResilienceErrorCode } from '@keelson/resilience'
import type { SyncErrorCode } from '@keelson/sync'
import type { WebhookErrorCode } from '@keelson/webhooks'
import type { HttpErrorCode } from './error.ts'

/** What is the caller's mistake in a call of ours is the handler's bug, not the client's: 500. */
export type Mistake =
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
  | 'UNKNOWN_EVENT_TYPE'
  | 'SCHEMA_FAILED'
  | 'SCHEMA_ASYNC'
  | 'PAYLOAD_NOT_JSON'
  | 'URL_REFUSED'
  | 'OVERLAP_NOT_SUPPORTED'
  | 'DECRYPT_FAILED'
  | 'BODY_NOT_RAW'
  | 'ENTRY_INVALID'
  | 'ACTION_UNKNOWN'
  | 'PRIVACY_NOT_CONFIGURED'
  | 'STORE_LOCKED'
  | 'STORE_CORRUPT'
  | 'PULL_IN_WRITING_TX'

type Cores = AuditErrorCode | IdempotencyErrorCode | ResilienceErrorCode | SyncErrorCode | WebhookErrorCode
type Known = KernelErrorCode | Cores | HttpErrorCode

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
  NOT_FOUND: 404,
  REVISION_CONFLICT: 409,
  EVENT_CONFLICT: 409,
  BODY_TOO_LARGE: 413,
  PAYLOAD_TOO_LARGE: 413,
  LIMIT_REACHED: 429,
  ENTRY_TOO_LARGE: 413,
  HELD: 409,
  PRUNED: 410,
  NOT_SEALED: 503,
  STORE_FULL: 503,
  FLUSH_TIMEOUT: 504,
  MISSING_HEADER: 401,
  MALFORMED_HEADER: 401,
  TOO_OLD: 401,
  TOO_NEW: 401,
  NO_MATCH: 401,
  DIGEST_MISMATCH: 401,
  UNKNOWN_KEY: 401,
  MISSING_COMPONENT: 401,
  REPLAYED: 401,
  REQUEST_INVALID: 400,
  CURSOR_INVALID: 400,
  VERSION_UNSUPPORTED: 400,
  CLIENT_FOREIGN: 403,
  CURSOR_EXPIRED: 410,
  EPOCH_CHANGED: 410,
  SCHEMA_CHANGED: 410,
  REPLICA_READ: 503,
}

/** The status of a KeelsonError's code; 500 for a mistake, and for one that this version does not know. */
export function statusOfCode(code: string): number {
  return Object.hasOwn(STATUS, code) ? STATUS[code as keyof typeof STATUS] : 500
}
