import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import type { Place, Protection } from '@keelson/idempotency'
import type { Environment } from './environment.ts'

const IV_BYTES = 12
const TAG_BYTES = 16

/**
 * Stored answers tell addresses, so the database keeps them sealed: under the first of `ANSWER_KEYS`, else under a key of
 * `PRIVACY_KEY`; any of them opens. Without both they are stored as they are, for an embedded node that keeps no keys.
 */
export function openProtection({
  ANSWER_KEYS,
  PRIVACY_KEY,
}: Pick<Environment, 'ANSWER_KEYS' | 'PRIVACY_KEY'>): Protection | undefined {
  const given = ANSWER_KEYS === undefined ? [] : ANSWER_KEYS.split(',').map((key) => Buffer.from(key, 'base64'))
  const keys = PRIVACY_KEY === undefined ? given : [...given, derived(Buffer.from(PRIVACY_KEY, 'base64'))]
  const [newest] = keys
  if (newest === undefined) return undefined
  return {
    seal: async (bytes, place) => seal(newest, bytes, place),
    open: (sealed, place) => Promise.any(keys.map(async (key) => open(key, sealed, place))),
  }
}

function seal(key: Buffer, bytes: Uint8Array, place: Place): Uint8Array {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(boundTo(place))
  const sealed = [cipher.update(bytes), cipher.final()]
  return Buffer.concat([iv, cipher.getAuthTag(), ...sealed])
}

/** Throws for another key, and for bytes that were changed or belong to another record. */
function open(key: Buffer, sealed: Uint8Array, place: Place): Uint8Array {
  const body = IV_BYTES + TAG_BYTES
  const cipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
  cipher.setAAD(boundTo(place)).setAuthTag(sealed.subarray(IV_BYTES, body))
  return Buffer.concat([cipher.update(sealed.subarray(body)), cipher.final()])
}

function boundTo({ scope, ref }: Place): Uint8Array {
  return Buffer.concat([ref, Buffer.from(scope)])
}

function derived(secret: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', 'parcels answers', 32))
}
