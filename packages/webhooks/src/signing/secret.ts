import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto'
import { macKey, type MacKey } from './mac.ts'

/** A secret that signs: `v1` is HMAC-SHA256, `v1a` ed25519. */
export type SigningSecret =
  | { readonly version: 'v1'; readonly key: MacKey }
  | { readonly version: 'v1a'; readonly key: KeyObject }

/** A pair's halves: 32 bytes each. */
const HALF = 32
const LIMITS = { whsec_: [24, 64], whsk_: [2 * HALF, 2 * HALF], whpk_: [HALF, HALF] } as const
type Prefix = keyof typeof LIMITS

/** The key of a `whsec_` or `whsk_` text, or what is wrong with it: never a part of the text itself. */
export function parseSecret(text: unknown): SigningSecret | string {
  if (typeof text === 'string' && text.startsWith('whsk_')) {
    const pair = bytesOf(text, 'whsk_')
    return typeof pair === 'string' ? pair : signingKeyOf(pair)
  }
  const bytes = bytesOf(text, 'whsec_')
  return typeof bytes === 'string' ? bytes : { version: 'v1', key: macKey(bytes) }
}

/** The key of a `whsec_` text, or what is wrong with it. */
export function parseSharedSecret(text: unknown): KeyObject | string {
  const bytes = bytesOf(text, 'whsec_')
  return typeof bytes === 'string' ? bytes : createSecretKey(bytes)
}

/** The key of a `whpk_` text, or what is wrong with it. */
export function parsePublicKey(text: unknown): KeyObject | string {
  const bytes = bytesOf(text, 'whpk_')
  return typeof bytes === 'string' ? bytes : publicKeyOf(bytes)
}

function bytesOf(text: unknown, prefix: Prefix): Buffer | string {
  if (typeof text !== 'string') return 'must be a string'
  if (!text.startsWith(prefix)) return `must begin with '${prefix}'`
  const encoded = text.slice(prefix.length)
  const bytes = Buffer.from(encoded, 'base64')
  // Node skips over what is no base64; two texts of one key would be two secrets.
  if (bytes.toString('base64') !== encoded) return `must be base64, padded, behind '${prefix}'`
  const [least, most] = LIMITS[prefix]
  if (bytes.length >= least && bytes.length <= most) return bytes
  return `must hold ${least === most ? least : `${least} to ${most}`} bytes (holds ${bytes.length})`
}

function signingKeyOf(pair: Buffer): SigningSecret | string {
  const d = pair.subarray(0, HALF).toString('base64url')
  const x = pair.subarray(HALF).toString('base64url')
  const key = createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', d, x }, format: 'jwk' })
  // Receivers would be told a key that nothing is signed with.
  if (publicHalf(key) !== x) return 'must be a seed and its own public key'
  return { version: 'v1a', key }
}

function publicKeyOf(bytes: Buffer): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }, format: 'jwk' })
}

/** The public key of a private one, base64url. */
export function publicHalf(key: KeyObject): string {
  return createPublicKey(key).export({ format: 'jwk' }).x!
}
