import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { isScope } from '@keelson/kernel'
import type { AuditOptions, Json } from '../audit.ts'
import { AuditError, optionFailure } from '../error.ts'
import type { EntryKey, WrappedKey } from '../store.ts'
import type { Sealed } from './sealed.ts'
import { isSubject, subjectAllowed } from './subject.ts'
import type { PersonalValue } from './writing.ts'

/*
 * Each entry has a random key for each person in it (AES-256-GCM). That key is kept wrapped, under a key that is derived
 * from a secret for this entry: so no secret ever comes near the number of random nonces that GCM allows (NIST SP
 * 800-38D, 8.3), and a wrapped key opens nothing but its own entry.
 */

/** How persons' values are kept. */
export interface Privacy {
  /** How a person is called in a scope: the same each time, telling nothing. @throws AuditError SCOPE_INVALID, INPUT_INVALID */
  pseudonym(scope: string, subject: string): string
  /** Encrypts the values of one entry: a text for each, in order, and the keys. */
  seal(
    scope: string,
    id: string,
    values: readonly PersonalValue[],
  ): { sealed: string[]; keys: WrappedKey[]; refs: string[] }
  /**
   * Opens `audit.sealed` of an entry: by pointer, without those whose key is gone.
   * @throws AuditError PRIVACY_NOT_CONFIGURED if no secret unwraps a key, STORE_CORRUPT if a value was altered
   */
  open(
    entry: { readonly id: string; readonly scope: string },
    sealed: Sealed,
    keys: readonly EntryKey[],
  ): Map<string, Json>
}

const VERSION = 1
const KEY_BYTES = 32
const KEY_ID_BYTES = 4
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** Of a pseudonym: 22 characters. */
const REF_BYTES = 16

const CIPHER = 'aes-256-gcm'

interface Secret {
  readonly id: Buffer
  readonly key: Buffer
}

/** @throws AuditError OPTION_INVALID */
export function createPrivacy(options: NonNullable<AuditOptions['privacy']>): Privacy {
  const secrets = secretsOf(options.secrets)
  const naming = keyOf(options.pseudonym)
  if (naming === undefined) throw optionFailure('createAudit: "privacy.pseudonym" must be base64 of 32 bytes')
  if (secrets.some(({ key }) => key.equals(naming))) {
    throw optionFailure('createAudit: "privacy.pseudonym" must not be one of "privacy.secrets"')
  }
  const first = secrets[0]!

  function refOf(scope: string, subject: string): string {
    // No scope has a control character.
    const mac = createHmac('sha256', naming!).update(`keelson audit ref v1\n${scope}\n${subject}`)
    return mac.digest().toString('base64url', 0, REF_BYTES)
  }

  return {
    pseudonym(scope, subject) {
      if (!isScope(scope)) throw new AuditError('SCOPE_INVALID', 'pseudonym: "scope" must be 1 to 128 bytes of text')
      if (!isSubject(subject)) throw new AuditError('INPUT_INVALID', `pseudonym: "subject" must be ${subjectAllowed}`)
      return refOf(scope, subject)
    },

    seal(scope, id, values) {
      const keyOfRef = new Map<string, Buffer>()
      const sealed = values.map(({ pointer, subject, text }) => {
        const ref = refOf(scope, subject)
        let key = keyOfRef.get(ref)
        if (key === undefined) keyOfRef.set(ref, (key = randomBytes(KEY_BYTES)))
        return `v1:${ref}:${encrypt(key, text, id + pointer).toString('base64url')}`
      })
      const keys = [...keyOfRef].map(([ref, key]) => {
        const wrapped = Buffer.concat([
          Buffer.of(VERSION),
          first.id,
          encrypt(wrapping(first, id), key, aadOf(scope, ref)),
        ])
        key.fill(0)
        return { scope, ref, wrapped }
      })
      return { sealed, keys, refs: [...keyOfRef.keys()] }
    },

    open({ id, scope }, sealed, keys) {
      const wrappedOf = new Map<string, Uint8Array>()
      for (const key of keys) if (key.entry === id && key.scope === scope) wrappedOf.set(key.ref, key.wrapped)
      const keyOfRef = new Map<string, Buffer>()
      const opened = new Map<string, Json>()
      for (const [pointer, value] of Object.entries(sealed)) {
        const [, ref = '', text = ''] = value.split(':')
        const wrapped = wrappedOf.get(ref)
        if (wrapped === undefined) continue
        let key = keyOfRef.get(ref)
        if (key === undefined) keyOfRef.set(ref, (key = unwrapped(secrets, id, scope, ref, wrapped)))
        try {
          opened.set(pointer, JSON.parse(decrypt(key, Buffer.from(text, 'base64url'), id + pointer).toString()) as Json)
        } catch {
          // Without the cause: a parser's words may quote the value.
          throw corrupt(id, pointer, 'was altered')
        }
      }
      for (const key of keyOfRef.values()) key.fill(0)
      return opened
    },
  }
}

function unwrapped(secrets: readonly Secret[], id: string, scope: string, ref: string, wrapped: Uint8Array): Buffer {
  const bytes = Buffer.from(wrapped.buffer, wrapped.byteOffset, wrapped.byteLength)
  if (bytes[0] !== VERSION) throw corrupt(id, ref, `has a key of unknown version ${bytes[0]}`)
  const keyId = bytes.subarray(1, 1 + KEY_ID_BYTES)
  const known = secrets.filter((secret) => secret.id.equals(keyId))
  if (known.length === 0) {
    const what = `the key ${ref} of entry ${id} was wrapped by a secret that is not in "privacy.secrets"`
    throw new AuditError('PRIVACY_NOT_CONFIGURED', `${what} (its id is ${keyId.toString('hex')})`)
  }
  for (const secret of known) {
    try {
      return decrypt(wrapping(secret, id), bytes.subarray(1 + KEY_ID_BYTES), aadOf(scope, ref))
    } catch {}
  }
  throw corrupt(id, ref, 'has a key that was altered')
}

/** No field of it has a line break. */
function aadOf(scope: string, ref: string): string {
  return `${scope}\n${ref}`
}

function wrapping(secret: Secret, id: string): Buffer {
  return createHmac('sha256', secret.key).update(`keelson audit wrap v1\n${id}`).digest()
}

/** Nonce, ciphertext, tag. */
function encrypt(key: Buffer, plain: string | Buffer, aad: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, key, nonce)
  cipher.setAAD(Buffer.from(aad))
  // A text goes in as it is: a buffer made of it would live on in the pool.
  const body = typeof plain === 'string' ? cipher.update(plain, 'utf8') : cipher.update(plain)
  return Buffer.concat([nonce, body, cipher.final(), cipher.getAuthTag()])
}

function decrypt(key: Buffer, sealed: Buffer, aad: string): Buffer {
  const tagAt = sealed.length - TAG_BYTES
  const cipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(aad))
  cipher.setAuthTag(sealed.subarray(tagAt))
  const plain = cipher.update(sealed.subarray(NONCE_BYTES, tagAt))
  cipher.final()
  return plain
}

function secretsOf(given: readonly string[]): readonly Secret[] {
  if (!Array.isArray(given) || given.length === 0) {
    throw optionFailure('createAudit: "privacy.secrets" must have at least one secret: base64 of 32 bytes')
  }
  return given.map((text, i) => {
    const key = keyOf(text)
    if (key === undefined) throw optionFailure(`createAudit: "privacy.secrets[${i}]" must be base64 of 32 bytes`)
    const id = createHmac('sha256', key).update('keelson audit secret id v1').digest().subarray(0, KEY_ID_BYTES)
    return { id, key }
  })
}

/** Strictly: what a lenient reader skips would make another key of a typing error. */
function keyOf(text: unknown): Buffer | undefined {
  if (typeof text !== 'string' || !/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return undefined
  const key = Buffer.alloc(KEY_BYTES)
  return key.write(text, 'base64') === KEY_BYTES ? key : undefined
}

function corrupt(id: string, place: string, what: string): AuditError {
  return new AuditError('STORE_CORRUPT', `entry ${id}: "${place}" ${what}`)
}
