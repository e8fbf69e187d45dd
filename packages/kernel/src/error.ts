const BRAND = Symbol.for('keelson.error')

/** What an error may say beside code and message. */
export interface ErrorDetails {
  readonly retryable?: boolean
  /** Milliseconds until a retry can succeed. */
  readonly retryAfter?: number
  readonly cause?: unknown
  readonly details?: object
}

/**
 * The base of every error that Keelson throws: one subclass a package, stable codes without the package's prefix.
 * Recognise it with {@link isKeelsonError}, not with `instanceof`: an application may hold two copies of the kernel.
 */
export class KeelsonError<C extends string = string> extends Error {
  override readonly name: string = 'KeelsonError'
  readonly code: C
  /** True when the same call can succeed later. */
  readonly retryable: boolean
  /** Milliseconds until a retry can succeed, where that is known. */
  declare readonly retryAfter?: number
  declare readonly details?: object

  constructor(code: C, message: string, more: ErrorDetails = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.code = code
    this.retryable = more.retryable ?? false
    if (more.retryAfter !== undefined) this.retryAfter = more.retryAfter
    if (more.details !== undefined) this.details = more.details
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** What may leave the process: never the cause, never a stack. */
  toJSON(): {
    name: string
    code: C
    message: string
    retryable: boolean
    retryAfter?: number
    details?: object
  } {
    return {
      name: this.name,
      code: this.code,
      message: this.message,
      retryable: this.retryable,
      ...(this.retryAfter === undefined ? {} : { retryAfter: this.retryAfter }),
      ...(this.details === undefined ? {} : { details: this.details }),
    }
  }
}

/** True for an error of any Keelson package and any copy of the kernel; with `code`, only for that code. */
export function isKeelsonError(error: unknown, code?: string): error is KeelsonError {
  if (typeof error !== 'object' || error === null || !(BRAND in error)) return false
  return code === undefined || (error as { code?: unknown }).code === code
}
