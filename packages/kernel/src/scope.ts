const MAX_BYTES = 128
/** Of one UTF-16 unit in UTF-8. */
const MAX_UNIT_BYTES = 3
const encoder = new TextEncoder()

/**
 * True for a scope (tenant): 1 to 128 bytes of UTF-8, no control character, no lone surrogate.
 * A scope is never defaulted; `'public'` is spelled out by whoever means to share.
 */
export function isScope(value: unknown): value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > MAX_BYTES) return false
  if (!isPlainText(value)) return false
  return value.length * MAX_UNIT_BYTES <= MAX_BYTES || encoder.encode(value).length <= MAX_BYTES
}

/** True for text without control characters and lone surrogates: it can stand in a key, a log line and UTF-8. */
export function isPlainText(value: string): boolean {
  return !/\p{Cc}/u.test(value) && value.isWellFormed()
}
