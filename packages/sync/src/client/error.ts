import { KeelsonError, type ErrorDetails } from '@keelson/kernel/core'

const RETRYABLE = {
  OFFLINE: true,
  AUTH: false,
  UPGRADE: false,
  STORE: false,
  UNSENT_CHANGES: false,
  INPUT_INVALID: false,
  OPTION_INVALID: false,
  CLOSED: false,
} as const

/**
 * OFFLINE: no answer, or the server is away. AUTH: 401 or 403. UPGRADE: the server does not understand this client.
 * STORE: the device's own store fails. UNSENT_CHANGES: signing out would lose edits. CLOSED: it was closed before.
 */
export type SyncClientErrorCode = keyof typeof RETRYABLE

/** An error of the client. `retryable` follows from the code. */
export class SyncClientError extends KeelsonError<SyncClientErrorCode> {
  override readonly name = 'SyncClientError'

  constructor(code: SyncClientErrorCode, message: string, more: Omit<ErrorDetails, 'retryable'> = {}) {
    super(code, message, { ...more, retryable: RETRYABLE[code] })
  }
}
