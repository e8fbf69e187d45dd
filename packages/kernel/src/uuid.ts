import { systemClock, type Clock } from './clock.ts'

let lastMs = 0
let sequence = 0

/** One call of the generator for many ids: it costs more than all the rest. */
const pool = Buffer.alloc(4_096)
let used = pool.length

/** Digits are written between the dashes: to slice and join strings takes three times as long. */
const text = Buffer.from('00000000-0000-0000-0000-000000000000')
const HEX = Buffer.from('0123456789abcdef')
const DASH = 0x2d

/** A UUIDv7 (RFC 9562, method 1): it grows within one process, whatever the wall clock does. */
export function uuidv7(clock: Clock = systemClock): string {
  if (used === pool.length) {
    crypto.getRandomValues(pool)
    used = 0
  }
  const at = used
  used += 16
  const nowMs = Math.floor(clock.now())
  if (nowMs > lastMs) {
    lastMs = nowMs
    // Half of the range stays free for growth within this millisecond.
    sequence = pool.readUInt16BE(at + 6) & 0x7ff
  } else if (++sequence > 0xfff) {
    lastMs++
    sequence = 0
  }
  pool.writeUIntBE(lastMs, at, 6)
  pool.writeUInt16BE(0x7000 | sequence, at + 6)
  pool[at + 8] = (pool[at + 8]! & 0x3f) | 0x80
  for (let to = 0, from = at; from < used; from++) {
    if (text[to] === DASH) to++
    text[to++] = HEX[pool[from]! >> 4]!
    text[to++] = HEX[pool[from]! & 15]!
  }
  return text.toString('latin1')
}
