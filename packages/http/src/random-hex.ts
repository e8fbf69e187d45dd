import { builtin } from './builtin.ts'

/** One call of the generator for many ids: it costs more than the rest of a request's context. */
const pool = Buffer.alloc(4_096)
let used = pool.length

/** So many random bytes (at most 4096) in lower-case hex. */
export function randomHex(bytes: number): string {
  if (used + bytes > pool.length) {
    builtin.crypto.randomFillSync(pool)
    used = 0
  }
  return pool.toString('hex', used, (used += bytes))
}
