import { SyncError } from '../error.ts'

/** SQLSTATE of our functions: somebody else wrote what was not there when it was read. */
export const RACED = 'KES01'
/** Of Postgres, and the key of what is remembered of operations. */
const UNIQUE_VIOLATION = '23505'
const RESULT_KEY = 'sync_op_pkey'
/** Of Postgres: a lock was not got in time. */
const LOCK_NOT_AVAILABLE = '55P03'
/** Of Postgres: two waited for each other, and this one was ended. */
const DEADLOCK_DETECTED = '40P01'

/** Or wrote first what both insert. */
export const isRaced = (error: unknown): boolean =>
  sqlState(error) === RACED ||
  (sqlState(error) === UNIQUE_VIOLATION && (error as { constraint?: unknown }).constraint === RESULT_KEY)
export const isDeadlock = (error: unknown): boolean => sqlState(error) === DEADLOCK_DETECTED
export const isLocked = (error: unknown): boolean => sqlState(error) === LOCK_NOT_AVAILABLE

const sqlState = (error: unknown): unknown => (error as { code?: unknown } | null | undefined)?.code

/** What somebody else holds is there again soon: the server lives, so no guard opens. */
export function busyError(cause: unknown): SyncError {
  const message = 'others write the same records, or for the same client, and did not end in time'
  return new SyncError('STORE_UNAVAILABLE', message, { cause, retryAfter: 250, details: { reason: 'overload' } })
}
