import { KeelsonError, type ErrorDetails } from '@keelson/kernel'

const RETRYABLE = {
  OPTION_INVALID: false,
  SCOPE_INVALID: false,
  INPUT_INVALID: false,
  UNKNOWN_EVENT_TYPE: false,
  SCHEMA_FAILED: false,
  SCHEMA_ASYNC: false,
  PAYLOAD_NOT_JSON: false,
  PAYLOAD_TOO_LARGE: false,
  URL_REFUSED: false,
  NOT_FOUND: false,
  REVISION_CONFLICT: false,
  EVENT_CONFLICT: false,
  LIMIT_REACHED: false,
  OVERLAP_NOT_SUPPORTED: false,
  STORE_NOT_TRANSACTIONAL: false,
  DECRYPT_FAILED: false,
  STORE_UNAVAILABLE: true,
  CLOSED: false,
  MISSING_HEADER: false,
  MALFORMED_HEADER: false,
  TOO_OLD: false,
  TOO_NEW: false,
  NO_MATCH: false,
  DIGEST_MISMATCH: false,
  UNKNOWN_KEY: false,
  MISSING_COMPONENT: false,
  REPLAYED: false,
  BODY_NOT_RAW: false,
  BODY_TOO_LARGE: false,
} as const

/** The codes of this package; the README says when each is thrown. */
export type WebhookErrorCode = keyof typeof RETRYABLE

/** An error of this package. `retryable` follows from the code. */
export class WebhookError extends KeelsonError<WebhookErrorCode> {
  override readonly name = 'WebhookError'

  constructor(code: WebhookErrorCode, message: string, more: Omit<ErrorDetails, 'retryable'> = {}) {
    super(code, message, { ...more, retryable: RETRYABLE[code] })
  }
}

/** How options of this package are refused. */
export function optionFailure(message: string): WebhookError {
  return new WebhookError('OPTION_INVALID', message)
}
