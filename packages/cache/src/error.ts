import { KeelsonError, type ErrorDetails } from '@keelson/kernel'

const RETRYABLE = {
  STORE_UNAVAILABLE: true,
  LOAD_TIMEOUT: true,
  VALUE_UNSUPPORTED: false,
  SCOPE_INVALID: false,
  KEY_INVALID: false,
  TAG_INVALID: false,
  INPUT_INVALID: false,
  OPTION_INVALID: false,
  CLOSED: false,
  NO_LOG: false,
} as const

/** The codes of this package; the README says when each is thrown. */
export type CacheErrorCode = keyof typeof RETRYABLE

/** An error of this package. `retryable` follows from the code. */
export class CacheError extends KeelsonError<CacheErrorCode> {
  override readonly name = 'CacheError'

  constructor(code: CacheErrorCode, message: string, more: Omit<ErrorDetails, 'retryable'> = {}) {
    super(code, message, { ...more, retryable: RETRYABLE[code] })
  }
}

/** How options of this package are refused. */
export function optionFailure(message: string): CacheError {
  return new CacheError('OPTION_INVALID', message)
}
