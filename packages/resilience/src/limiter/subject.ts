import { isScope } from '@keelson/kernel'
import { ResilienceError } from '../error.ts'
import { shown } from '../shown.ts'

/** Who asks, and for how much. */
export interface Subject {
  /** The tenant: 1 to 128 bytes. */
  readonly scope: string
  /** Who or what is limited within the scope: 1 to 512 bytes. It enters a digest only. */
  readonly key: string
  /** Units; default 1. A take of 0 is a peek. */
  readonly cost?: number
}

const MAX_KEY_BYTES = 512

/** @throws ResilienceError SCOPE_INVALID, INPUT_INVALID */
export function checkSubject(subject: Subject): void {
  if (typeof subject !== 'object' || subject === null)
    throw new ResilienceError('INPUT_INVALID', 'a subject must be an object { scope, key }')
  const { scope, key, cost } = subject
  if (!isScope(scope)) {
    throw new ResilienceError(
      'SCOPE_INVALID',
      '"scope" must be 1 to 128 bytes without control characters; write \'public\' to share',
    )
  }
  // A lone surrogate would be the same as any other in UTF-8.
  const fits = typeof key === 'string' && key !== '' && key.length <= MAX_KEY_BYTES && key.isWellFormed()
  if (!fits || Buffer.byteLength(key) > MAX_KEY_BYTES)
    throw new ResilienceError('INPUT_INVALID', `"key" must be well-formed text of 1 to ${MAX_KEY_BYTES} bytes`)
  if (cost !== undefined) checkCost(cost)
}

/** @throws ResilienceError INPUT_INVALID */
export function checkCost(cost: unknown): void {
  if (!Number.isSafeInteger(cost) || (cost as number) < 0)
    throw new ResilienceError('INPUT_INVALID', `"cost" must be an integer of at least 0 (got ${shown(cost)})`)
}

let crypto: typeof import('node:crypto') | undefined

/** How stores know a subject of this limiter: 22 characters of a digest, so that no key's text leaves the process. */
export function digestSubject(limiter: string, { scope, key }: Subject): string {
  crypto ??= process.getBuiltinModule('node:crypto')
  // Neither a limiter's name nor a scope has a control character.
  return crypto.hash('sha256', `${limiter}\0${scope}\0${key}`, 'base64url').slice(0, 22)
}
