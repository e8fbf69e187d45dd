import { KeelsonError, type ErrorDetails } from '@keelson/kernel'

const RETRYABLE = {
  BREAKER_OPEN: true,
  SHED: true,
  THROTTLED: true,
  RATE_LIMITED: true,
  ATTEMPT_TIMEOUT: true,
  DEADLINE_EXCEEDED: true,
  CLOSED: false,
  STORE_UNAVAILABLE: true,
  OPTION_INVALID: false,
  SCOPE_INVALID: false,
  INPUT_INVALID: false,
  CHAOS: true,
} as const

/** The codes of this package; the README says when each is thrown. */
export type ResilienceErrorCode = keyof typeof RETRYABLE

/** An error of this package. `retryable` follows from the code. */
export class ResilienceError extends KeelsonError<ResilienceErrorCode> {
  override readonly name = 'ResilienceError'

  constructor(code: ResilienceErrorCode, message: string, more: Omit<ErrorDetails, 'retryable'> = {}) {
    super(code, message, { ...more, retryable: RETRYABLE[code] })
  }
}

/** How options of this package are refused. */
export function optionFailure(message: string): ResilienceError {
  return new ResilienceError('OPTION_INVALID', message)
}
