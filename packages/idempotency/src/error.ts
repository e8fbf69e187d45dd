import { KeelsonError, type ErrorDetails } from '@keelson/kernel'

const RETRYABLE = {
  KEY_REUSED: false,
  KEY_IN_USE: true,
  OUTCOME_UNKNOWN: false,
  ANSWER_NOT_RETAINED: false,
  LEASE_LOST: true,
  TOO_MANY_WAITERS: true,
  STORE_UNAVAILABLE: true,
  COMMIT_UNKNOWN: true,
  KEY_INVALID: false,
  SCOPE_INVALID: false,
  OP_INVALID: false,
  INPUT_INVALID: false,
  INPUT_NOT_HASHABLE: false,
  FINGERPRINT_INVALID: false,
  REPLY_INVALID: false,
  OPTION_INVALID: false,
  STORE_NOT_TRANSACTIONAL: false,
  CLOSED: false,
} as const

/** The codes of this package; the README says when each is thrown or answered. */
export type IdempotencyErrorCode = keyof typeof RETRYABLE

/** An error of this package. `retryable` follows from the code. */
export class IdempotencyError extends KeelsonError<IdempotencyErrorCode> {
  override readonly name = 'IdempotencyError'

  constructor(code: IdempotencyErrorCode, message: string, more: Omit<ErrorDetails, 'retryable'> = {}) {
    super(code, message, { ...more, retryable: RETRYABLE[code] })
  }
}

/** How options of this package are refused. */
export function optionFailure(message: string): IdempotencyError {
  return new IdempotencyError('OPTION_INVALID', message)
}
