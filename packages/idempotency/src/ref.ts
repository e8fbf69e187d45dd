import { isPlainText, isScope } from '@keelson/kernel'
import { IdempotencyError, type IdempotencyErrorCode } from './error.ts'
import { sha256 } from './sha256.ts'

/** Names one operation of one caller. */
export interface Ref {
  /** The tenant: 1 to 128 bytes. */
  readonly scope: string
  /** What is done, such as `'POST /orders'`: 1 to 512 characters. */
  readonly op: string
  /** The caller's key: 1 to 255 characters. It enters the digest only. */
  readonly key: string
  /** The principal, 1 to 512 characters: two of one tenant never meet. It enters the digest only. */
  readonly by?: string
}

/** What a store knows of a Ref: 16 bytes of sha256. Key text never reaches a store or a log. */
export type RefDigest = Uint8Array

/** Characters of a principal's id. */
export const MAX_PRINCIPAL = 512

/** @throws IdempotencyError SCOPE_INVALID, OP_INVALID, KEY_INVALID, INPUT_INVALID */
export function checkRef(ref: Ref): void {
  if (typeof ref !== 'object' || ref === null) {
    throw new IdempotencyError('INPUT_INVALID', `a ref must be an object { scope, op, key } (got ${shown(ref)})`)
  }
  const { scope, op, key, by } = ref
  checkScope(scope)
  checkText('OP_INVALID', 'op', op, 512)
  checkText('KEY_INVALID', 'key', key, 255)
  if (by !== undefined) checkText('INPUT_INVALID', 'by', by, MAX_PRINCIPAL)
}

/** @throws IdempotencyError SCOPE_INVALID */
export function checkScope(scope: unknown): void {
  if (isScope(scope)) return
  throw new IdempotencyError(
    'SCOPE_INVALID',
    `"scope" must be 1 to 128 bytes without control characters (got ${shown(scope)}); write 'public' to share`,
  )
}

/** Length-prefixed, so that no two refs share a digest by moving a character from one part to the next. */
export function digestRef({ scope, op, key, by }: Ref): RefDigest {
  const text = part(scope) + part(op) + part(key)
  return digestOf(by === undefined ? text : text + part(by))
}

/** The digest that this id names. @throws IdempotencyError INPUT_INVALID */
export function digestOfId(id: string): RefDigest {
  if (typeof id === 'string' && /^[0-9a-f]{32}$/.test(id)) return new Uint8Array(Buffer.from(id, 'hex'))
  throw new IdempotencyError('INPUT_INVALID', `"id" must be one that stuck() answered (got ${shown(id)})`)
}

/** The person whom a stored answer speaks of, as a store knows them. */
export function digestSubject(scope: string, subject: string): Uint8Array {
  return digestOf(part('subject') + part(scope) + part(subject))
}

function part(text: string): string {
  return `${Buffer.byteLength(text)}:${text}`
}

function digestOf(parts: string): Uint8Array {
  return sha256(parts).subarray(0, 16)
}

/** One rule for texts that name something: no control character, no lone surrogate. */
export function checkText(code: IdempotencyErrorCode, name: string, value: unknown, max: number): void {
  if (typeof value === 'string' && value.length >= 1 && value.length <= max && isPlainText(value)) return
  throw new IdempotencyError(
    code,
    `"${name}" must be 1 to ${max} characters without control characters (got ${shown(value)})`,
  )
}

/** Keys may be secrets: an error says how long the text was, never what it was. */
function shown(value: unknown): string {
  return typeof value === 'string' ? `${value.length} characters` : value === null ? 'null' : typeof value
}
