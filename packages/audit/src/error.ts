import { KeelsonError, type ErrorDetails } from '@keelson/kernel'

const RETRYABLE = {
  OPTION_INVALID: false,
  SCOPE_INVALID: false,
  INPUT_INVALID: false,
  ENTRY_INVALID: false,
  ENTRY_TOO_LARGE: false,
  ACTION_UNKNOWN: false,
  PRIVACY_NOT_CONFIGURED: false,
  STORE_UNAVAILABLE: true,
  STORE_FULL: true,
  STORE_LOCKED: false,
  STORE_CORRUPT: false,
  STORE_NOT_TRANSACTIONAL: false,
  NOT_SEALED: true,
  NOT_FOUND: false,
  PRUNED: false,
  HELD: false,
  FLUSH_TIMEOUT: true,
  CLOSED: false,
} as const

/** The codes of this package; the README says when each is thrown. */
export type AuditErrorCode = keyof typeof RETRYABLE

/** An error of this package. `retryable` follows from the code. */
export class AuditError extends KeelsonError<AuditErrorCode> {
  override readonly name = 'AuditError'

  constructor(code: AuditErrorCode, message: string, more: Omit<ErrorDetails, 'retryable'> = {}) {
    super(code, message, { ...more, retryable: RETRYABLE[code] })
  }
}

/** How options of this package are refused. */
export function optionFailure(message: string): AuditError {
  return new AuditError('OPTION_INVALID', message)
}
