import { KeelsonError, type ErrorDetails } from '@keelson/kernel'

/** The codes of this package; the README says when each is thrown. None is worth a retry. */
export type HttpErrorCode =
  | 'OPTION_INVALID'
  | 'SCOPE_INVALID'
  | 'INPUT_INVALID'
  | 'RAW_BODY_UNAVAILABLE'
  | 'CAPTURE_TWICE'
  | 'NOT_INJECTED'
  | 'CLOSED'

/** A mistake in how http is set up or used. What the client did wrong is an HttpProblem. */
export class HttpError extends KeelsonError<HttpErrorCode> {
  override readonly name = 'HttpError'

  constructor(code: HttpErrorCode, message: string, more: Omit<ErrorDetails, 'retryable'> = {}) {
    super(code, message, { ...more, retryable: false })
  }
}

/** A tenant is never guessed. */
export const scopeInvalid = (what: string): HttpError =>
  new HttpError('SCOPE_INVALID', `"scope" must answer 1 to 128 bytes without control characters for ${what}`)

/** How this package refuses an option. */
export const optionFailure = (message: string): HttpError => new HttpError('OPTION_INVALID', message)
