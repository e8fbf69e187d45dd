import { systemClock, type Clock } from './clock.ts'

let lastMs = 0
let sequence = 0

/** One call of the generator for many ids: it costs more than all the rest. */
const pool = new Uint8Array(4_096)
let used = pool.length

/** A UUIDv7 (RFC 9562, method 1): it grows within one process, whatever the wall clock does. */
export function uuidv7(clock: Clock = systemClock): string {
  if (used === pool.length) {
    crypto.getRandomValues(pool)
    used = 0
  }
  const bytes = Buffer.from(pool.subarray(used, (used += 16)))
  const nowMs = Math.floor(clock.now())
  if (nowMs > lastMs) {
    lastMs = nowMs
    // Half of the range stays free for growth within this millisecond.
    sequence = bytes.readUInt16BE(6) & 0x7ff
  } else if (++sequence > 0xfff) {
    lastMs++
    sequence = 0
  }
  bytes.writeUIntBE(lastMs, 0, 6)
  bytes.writeUInt16BE(0x7000 | sequence, 6)
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
