import { systemClock, type Clock } from './clock.ts'

let lastMs = 0
let sequence = 0

/** A UUIDv7 (RFC 9562, method 1): it grows within one process, whatever the wall clock does. */
export function uuidv7(clock: Clock = systemClock): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  const nowMs = Math.floor(clock.now())
  if (nowMs > lastMs) {
    lastMs = nowMs
    // Half of the range stays free for growth within this millisecond.
    sequence = ((bytes[6]! << 8) | bytes[7]!) & 0x7ff
  } else if (++sequence > 0xfff) {
    lastMs++
    sequence = 0
  }
  const view = new DataView(bytes.buffer)
  view.setUint16(0, Math.floor(lastMs / 2 ** 32))
  view.setUint32(2, lastMs >>> 0)
  view.setUint16(6, 0x7000 | sequence)
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
