// W3C Trace Context, section 3.2. Later versions may append fields after a dash.
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const ZEROS = /^0+$/
/** Of the flags, what version 00 and its successor define: sampled, random trace id. */
const KNOWN_FLAGS = 0x03

/**
 * The traceparent of this request: a valid one continued under a new parent id, else a new trace, unsampled because
 * nobody asked for it. `randomHex` answers so many random bytes in lower-case hex.
 */
export function traceparentOf(lines: readonly string[], randomHex: (bytes: number) => string): string {
  const inbound = lines.length === 1 ? TRACEPARENT.exec(lines[0]!) : null
  const [, version, traceId, parentId, flags, rest] = inbound ?? []
  const isValid =
    traceId !== undefined &&
    version !== 'ff' &&
    !(version === '00' && rest !== undefined) &&
    !ZEROS.test(traceId) &&
    !ZEROS.test(parentId!)
  if (!isValid) return `00-${randomHex(16)}-${randomHex(8)}-00`
  const kept = (Number.parseInt(flags!, 16) & KNOWN_FLAGS).toString(16).padStart(2, '0')
  return `00-${traceId}-${randomHex(8)}-${kept}`
}
