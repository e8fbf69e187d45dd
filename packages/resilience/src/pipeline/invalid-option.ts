import { ms } from '@keelson/kernel'
import type { CallOptions } from './call.ts'
import { shown } from '../shown.ts'

const MAX_KEY_BYTES = 512
const PRIORITIES: readonly unknown[] = [undefined, 0, 1, 2, 3]

/** What is wrong with the options of a call; undefined when nothing is. */
export function invalidOption(o: CallOptions): string | undefined {
  if (typeof o !== 'object' || o === null) return `the options must be an object (got ${shown(o)})`
  const { key, signal, deadline, priority, idempotent } = o
  if (key !== undefined && !isKey(key))
    return `"key" must be a string of 1 to ${MAX_KEY_BYTES} bytes (got ${shown(key)})`
  if (signal !== undefined && !(signal instanceof AbortSignal))
    return `"signal" must be an AbortSignal (got ${shown(signal)})`
  if (!PRIORITIES.includes(priority)) return `"priority" must be 0, 1, 2 or 3 (got ${shown(priority)})`
  if (idempotent !== undefined && typeof idempotent !== 'boolean')
    return `"idempotent" must be true or false (got ${shown(idempotent)})`
  if (deadline !== undefined) {
    try {
      ms(deadline)
    } catch {
      return `"deadline" must be a Duration such as 250, '250ms', '5s' (got ${shown(deadline)})`
    }
  }
  return undefined
}

function isKey(key: unknown): boolean {
  if (typeof key !== 'string' || key === '') return false
  // Three bytes are the most that a unit of UTF-16 becomes.
  return key.length * 3 <= MAX_KEY_BYTES || Buffer.byteLength(key) <= MAX_KEY_BYTES
}
