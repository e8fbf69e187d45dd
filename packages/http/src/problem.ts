import { isKeelsonError, KeelsonError, ms, type Duration } from '@keelson/kernel'
import { HttpError } from './error.ts'

/** What a problem may say beside its status and code. */
export interface ProblemDetails {
  /** For people, about this case. It leaves the process in every environment. */
  readonly detail?: string
  /** For people, about every case of this code; default the code in words. */
  readonly title?: string
  /** When to ask again; becomes Retry-After, rounded up to a second. */
  readonly retryAfter?: Duration
  /** Default: true for 408, 425, 429 and 5xx. False on a 5xx tells clients to stop. */
  readonly retryable?: boolean
  /** Further members, such as `errors: [{ pointer, detail }]` (RFC 9457, section 3.2). */
  readonly extra?: object
  readonly cause?: unknown
}

/** An answer that a handler throws. Made by {@link problem}. */
export class HttpProblem extends KeelsonError {
  override readonly name = 'HttpProblem'
  readonly status: number
  readonly title: string | undefined
  readonly detail: string | undefined
  readonly extra: object | undefined

  constructor(status: number, code: string, o: ProblemDetails = {}) {
    super(code, o.detail ?? o.title ?? code, {
      retryable: o.retryable ?? isRetryable(status),
      ...(o.retryAfter === undefined ? {} : { retryAfter: ms(o.retryAfter, 'retryAfter') }),
      ...(o.cause === undefined ? {} : { cause: o.cause }),
    })
    this.status = status
    this.title = o.title
    this.detail = o.detail
    this.extra = o.extra
  }
}

/**
 * A problem to throw: `throw problem(409, 'out-of-stock', { detail: 'two are left' })`.
 * @throws HttpError OPTION_INVALID for a status that is not 400 to 599.
 */
export function problem(status: number, code: string, o: ProblemDetails = {}): HttpProblem {
  if (!Number.isInteger(status) || status < 400 || status > 599) {
    throw new HttpError(
      'OPTION_INVALID',
      `problem: "status" must be an integer from 400 to 599 (got ${String(status)})`,
    )
  }
  return new HttpProblem(status, code, o)
}

/** True for a problem of any copy of this package. */
export function isHttpProblem(error: unknown): error is HttpProblem {
  return isKeelsonError(error) && error.name === 'HttpProblem'
}

/** What is known of a status alone: a later, equal request can be answered otherwise. */
export function isRetryable(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429
}
