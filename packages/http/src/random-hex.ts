/** One call of the generator for many ids: it costs more than the rest of a request's context. */
const pool = new Uint8Array(4_096)
let used = pool.length

const HEX = Buffer.from('0123456789abcdef')

/** Fills an even number of places of `text` with random digits, in lower case. */
export function writeRandomHex(text: Buffer, from: number, to: number): void {
  if (used + to - from > pool.length) {
    crypto.getRandomValues(pool)
    used = 0
  }
  for (let at = from; at < to; used++) {
    text[at++] = HEX[pool[used]! >> 4]!
    text[at++] = HEX[pool[used]! & 15]!
  }
}
