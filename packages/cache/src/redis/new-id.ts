import { randomFillSync } from 'node:crypto'

/** As many as one question to the system for random bytes makes: that costs more than the rest of a call. */
const BATCH = 256
/** 12 letters of base64url. */
const ID_BYTES = 9
const LETTERS = 12

const bytes = Buffer.allocUnsafe(BATCH * ID_BYTES)
let letters = ''
let used = BATCH * LETTERS

/** Of one call: what it makes, nobody else has made. 12 bytes, as the read script counts on. */
export function newId(): string {
  if (used === BATCH * LETTERS) {
    letters = randomFillSync(bytes).toString('base64url')
    used = 0
  }
  return letters.slice(used, (used += LETTERS))
}
