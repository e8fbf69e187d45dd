import { CacheError } from './error.ts'

/** A part of a key. 1 and '1' are two parts. */
export type KeyPart = string | number
/** What an entry is found by. `'user'` and `['user']` are two keys. */
export type Key = string | readonly [KeyPart, ...KeyPart[]]

/** Of an encoded key, in UTF-8. */
const MAX_KEY_BYTES = 512
/** Of one UTF-16 unit in UTF-8. */
const MAX_UNIT_BYTES = 3
const encoder = new TextEncoder()

/**
 * The key as one text. Each part has its length in front, so no two keys share an encoding, and the encoding of some
 * leading parts is the start of no other part: `['user']` is no prefix of `['users']`.
 * @throws CacheError KEY_INVALID
 */
export function encodeKey(key: Key): string {
  const encoded = typeof key === 'string' ? `=${key}` : encodeParts(key, key)
  if (key === '' || isLong(encoded)) throw keyInvalid(key, `be 1 to ${MAX_KEY_BYTES} bytes`)
  if (!encoded.isWellFormed()) throw keyInvalid(key, 'be well-formed text')
  return encoded
}

function isLong(encoded: string): boolean {
  return encoded.length * MAX_UNIT_BYTES > MAX_KEY_BYTES && encoder.encode(encoded).length > MAX_KEY_BYTES
}

/** The parts, each with its kind and length in front. */
export function encodeParts(parts: readonly KeyPart[], key: unknown): string {
  if (!Array.isArray(parts) || parts.length === 0) throw keyInvalid(key, 'be a string or an array of at least one part')
  let encoded = ''
  for (const part of parts as readonly unknown[]) encoded += encodePart(part, key)
  return encoded
}

function encodePart(part: unknown, key: unknown): string {
  if (typeof part === 'string') return `s${part.length}:${part}`
  if (typeof part === 'number' && Number.isFinite(part)) {
    const text = String(part) // -0 and 0 are one part, as they are in a Map
    return `n${text.length}:${text}`
  }
  throw keyInvalid(key, 'have parts that are strings or finite numbers')
}

/** Makes of a text that no key has as its encoding something that is no key either: keys are well-formed. */
const NOT_A_KEY = '\ud800'

/** The key whose encoding this is. Of any other text, one that no key is equal to. */
export function decodeKey(encoded: string): Key {
  if (encoded.startsWith('=')) return encoded.slice(1)
  const parts: KeyPart[] = []
  for (let at = 0; at < encoded.length;) {
    const colon = encoded.indexOf(':', at)
    const length = Number(encoded.slice(at + 1, colon))
    const text = encoded.slice(colon + 1, colon + 1 + length)
    parts.push(encoded[at] === 'n' ? Number(text) : text)
    at = colon + 1 + length
    if (colon === -1 || !(length >= 0)) break
  }
  const isKey = parts.length > 0 && encodes(parts, encoded)
  return isKey ? (parts as [KeyPart, ...KeyPart[]]) : `${NOT_A_KEY}${encoded}`
}

/** True for what `encodeKey` answers. */
export function isEncodedKey(text: string): boolean {
  if (isLong(text) || !text.isWellFormed()) return false
  const key = decodeKey(text)
  return Array.isArray(key) || (key !== '' && text.startsWith('='))
}

function encodes(parts: readonly KeyPart[], encoded: string): boolean {
  return (
    parts.every((part) => typeof part === 'string' || Number.isFinite(part)) && encodeParts(parts, parts) === encoded
  )
}

/** Says no more of the key than its kind: it may hold a person's data. */
function keyInvalid(key: unknown, must: string): CacheError {
  const got = Array.isArray(key) ? `an array of ${key.length}` : typeof key === 'string' ? 'a string' : typeof key
  return new CacheError('KEY_INVALID', `a key must ${must} (got ${got})`)
}
