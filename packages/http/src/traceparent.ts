import { isTraceparent } from '@keelson/kernel'

/** Of the flags, what version 00 and its successor define: sampled, random trace id. */
const KNOWN_FLAGS = 0x03

/**
 * The traceparent of this request: a valid one continued under a new parent id, else a new trace, unsampled because
 * nobody asked for it. `randomHex` answers so many random bytes in lower-case hex.
 */
export function traceparentOf(lines: readonly string[], randomHex: (bytes: number) => string): string {
  const [inbound, second] = lines
  if (second !== undefined || !isTraceparent(inbound)) return `00-${randomHex(16)}-${randomHex(8)}-00`
  const [, traceId, , flags = ''] = inbound.split('-')
  const kept = (Number.parseInt(flags, 16) & KNOWN_FLAGS).toString(16).padStart(2, '0')
  return `00-${traceId}-${randomHex(8)}-${kept}`
}

/** True when `ours` continues what came in. */
export function isSameTrace(inbound: string, ours: string): boolean {
  return inbound.split('-')[1] === ours.split('-')[1]
}
