// W3C Trace Context, section 3.2.2: https://www.w3.org/TR/trace-context/#traceparent-header-field-values
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x20-\x7e]*)?$/
const LENGTH_00 = 55
/** Four times what version 00 takes: it is stored with each record. */
const MAX_LENGTH = 220

/**
 * True for a W3C traceparent: lower case, no zero ids, version 00 with nothing behind it. Later versions may append
 * fields after a dash; the first four are where version 00 has them.
 */
export function isTraceparent(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > MAX_LENGTH || !TRACEPARENT.test(value)) return false
  return value.length === LENGTH_00 || !value.startsWith('00')
}
