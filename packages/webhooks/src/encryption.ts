import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { optionFailure, WebhookError } from './error.ts'

/** A key with its name: 32 bytes, raw or base64. */
export interface EncryptionKey {
  readonly id: string
  readonly key: Uint8Array | string
}

/** Encryption elsewhere (a KMS): `sealed` names its key, so that keys rotate without a restart. */
export interface EncryptionProvider {
  encrypt(plain: Uint8Array, aad: Uint8Array): Promise<Uint8Array>
  decrypt(sealed: Uint8Array, aad: Uint8Array): Promise<Uint8Array>
}

/** Texts sealed for one owner: what is sealed for another one does not open. */
export interface Encryption {
  seal(plain: string, owner: string): Promise<Uint8Array>
  /** @throws WebhookError DECRYPT_FAILED */
  open(sealed: Uint8Array, owner: string): Promise<string>
}

/** Of what is sealed with our own keys: format, length of the key's id, the id, nonce, tag, ciphertext. */
const FORMAT = 1
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** @throws WebhookError OPTION_INVALID */
export function createEncryption(given: readonly EncryptionKey[] | EncryptionProvider | 'plaintext'): Encryption {
  const provider =
    given === 'plaintext' ? plaintext : Array.isArray(given) ? keyring(given) : (given as EncryptionProvider)
  return {
    async seal(plain, owner) {
      return provider.encrypt(Buffer.from(plain), Buffer.from(owner))
    },
    async open(sealed, owner) {
      try {
        return Buffer.from(await provider.decrypt(sealed, Buffer.from(owner))).toString()
      } catch (cause) {
        // Neither the text nor the key's own words: an error of a cipher may hold both.
        throw new WebhookError('DECRYPT_FAILED', `the secret of ${owner} cannot be decrypted`, { cause })
      }
    },
  }
}

/** Whether an option can be an encryption at all; keys are read by {@link createEncryption}. */
export function isEncryption(given: unknown): boolean {
  if (given === 'plaintext') return true
  if (Array.isArray(given)) return given.length > 0 && given.every(isKey)
  const provider = given as Partial<EncryptionProvider> | null | undefined
  return typeof provider?.encrypt === 'function' && typeof provider.decrypt === 'function'
}

const plaintext: EncryptionProvider = {
  async encrypt(plain) {
    return plain
  },
  async decrypt(sealed) {
    return sealed
  },
}

function keyring(given: readonly EncryptionKey[]): EncryptionProvider {
  const keys = new Map(given.map(({ id, key }) => [id, bytesOf(key)!]))
  if (keys.size < given.length) throw optionFailure('createWebhooks: "encryption" must not have two keys of one id')
  const current = Buffer.from(given[0]!.id)
  return {
    async encrypt(plain, aad) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', keys.get(given[0]!.id)!, nonce)
      cipher.setAAD(aad)
      const sealed = [cipher.update(plain), cipher.final()]
      return Buffer.concat([Buffer.from([FORMAT, current.length]), current, nonce, cipher.getAuthTag(), ...sealed])
    },
    async decrypt(sealed, aad) {
      if (sealed[0] !== FORMAT) throw new Error(`unknown format ${sealed[0]}`)
      const bytes = Buffer.from(sealed)
      const nonceAt = 2 + sealed[1]!
      const id = bytes.toString('utf8', 2, nonceAt)
      const key = keys.get(id)
      if (key === undefined) throw new Error(`no key '${id}'`)
      const tagAt = nonceAt + NONCE_BYTES
      const textAt = tagAt + TAG_BYTES
      const cipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(nonceAt, tagAt), { authTagLength: TAG_BYTES })
      cipher.setAAD(aad)
      cipher.setAuthTag(bytes.subarray(tagAt, textAt))
      return Buffer.concat([cipher.update(bytes.subarray(textAt)), cipher.final()])
    },
  }
}

function isKey(given: Partial<EncryptionKey> | null | undefined): boolean {
  const { id, key } = given ?? {}
  if (typeof id !== 'string' || !/^[\x21-\x7e]{1,64}$/.test(id)) return false
  return bytesOf(key) !== undefined
}

function bytesOf(key: unknown): Uint8Array | undefined {
  const bytes = typeof key === 'string' ? Buffer.from(key, 'base64') : key
  return bytes instanceof Uint8Array && bytes.length === KEY_BYTES ? bytes : undefined
}
