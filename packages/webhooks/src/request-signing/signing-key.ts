import { createSecretKey, type KeyObject } from 'node:crypto'

/** A key that requests are signed with; a string is taken as UTF-8. */
export interface SigningKey {
  readonly alg: 'hmac-sha256'
  readonly key: Uint8Array | string
}

/** A key as node:crypto wants it, or what is wrong with it: never a part of the key. */
export function parseSigningKey(given: unknown): KeyObject | string {
  const { alg, key } = (typeof given === 'object' && given !== null ? given : {}) as Partial<Record<string, unknown>>
  if (alg === 'ed25519') return "must have alg 'hmac-sha256': 'ed25519' is not in this release"
  if (alg !== 'hmac-sha256') return "must have alg 'hmac-sha256'"
  if (key instanceof Uint8Array && key.length > 0) return createSecretKey(key)
  if (typeof key === 'string' && key !== '') return createSecretKey(key, 'utf8')
  return 'must have a key: a Uint8Array or a string that is not empty'
}
