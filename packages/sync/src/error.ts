import { KeelsonError, type ErrorDetails } from '@keelson/kernel/core'

const RETRYABLE = {
  OPTION_INVALID: false,
  SCOPE_INVALID: false,
  INPUT_INVALID: false,
  REQUEST_INVALID: false,
  CURSOR_INVALID: false,
  VERSION_UNSUPPORTED: false,
  CLIENT_FOREIGN: false,
  NOT_FOUND: false,
  CURSOR_EXPIRED: false,
  EPOCH_CHANGED: false,
  SCHEMA_CHANGED: false,
  BODY_TOO_LARGE: false,
  LIMIT_REACHED: true,
  STORE_UNAVAILABLE: true,
  PULL_IN_WRITING_TX: false,
  REPLICA_READ: false,
  CLOSED: false,
} as const

/** The codes of this package; the README says when each is thrown. */
export type SyncErrorCode = keyof typeof RETRYABLE

/** An error of this package. `retryable` follows from the code. */
export class SyncError extends KeelsonError<SyncErrorCode> {
  override readonly name = 'SyncError'

  constructor(code: SyncErrorCode, message: string, more: Omit<ErrorDetails, 'retryable'> = {}) {
    super(code, message, { ...more, retryable: RETRYABLE[code] })
  }
}
