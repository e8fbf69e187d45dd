import { KeelsonError, type ErrorDetails } from './error.ts'

const RETRYABLE = {
  OPTION_INVALID: false,
  INPUT_INVALID: false,
  SCOPE_INVALID: false,
  STORE_UNAVAILABLE: true,
  COMMIT_UNKNOWN: true,
  EFFECT_NOT_TRANSACTIONAL: false,
  EFFECT_INVALID: false,
  REPLY_INVALID: false,
  ANSWER_CORRUPT: false,
  TX_ENDED: false,
  MIGRATION_CHANGED: false,
  CLOSED: false,
} as const

/** The codes of the kernel; the README says when each is thrown. */
export type KernelErrorCode = keyof typeof RETRYABLE

/** An error of the kernel. `retryable` follows from the code. */
export class KernelError extends KeelsonError<KernelErrorCode> {
  override readonly name = 'KernelError'

  constructor(code: KernelErrorCode, message: string, more: Omit<ErrorDetails, 'retryable'> = {}) {
    super(code, message, { ...more, retryable: RETRYABLE[code] })
  }
}
