import { KeelsonError, type ErrorDetails } from '@keelson/kernel'

const RETRYABLE = {
  OPTION_INVALID: false,
  SCOPE_INVALID: false,
  INPUT_INVALID: false,
  RAW_BODY_UNAVAILABLE: false,
  CAPTURE_TWICE: false,
  CLOSED: false,
} as const

/** The codes of this package; the README says when each is thrown. */
export type HttpErrorCode = keyof typeof RETRYABLE

/** A mistake in how http is set up or used. What the client did wrong is an HttpProblem. */
export class HttpError extends KeelsonError<HttpErrorCode> {
  override readonly name = 'HttpError'

  constructor(code: HttpErrorCode, message: string, more: Omit<ErrorDetails, 'retryable'> = {}) {
    super(code, message, { ...more, retryable: RETRYABLE[code] })
  }
}

/** How this package refuses an option. */
export const optionFailure = (message: string): HttpError => new HttpError('OPTION_INVALID', message)
