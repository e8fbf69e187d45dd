/*
 * Keys as Go's note package writes them: 'PRIVATE+KEY+<name>+<id>+<base64>' signs and '<name>+<id>+<base64>' verifies.
 * The base64 is a byte for the algorithm, 1 for Ed25519, and the seed or the public key. The id is the beginning of a
 * hash of name and public key, in 8 hexadecimal digits.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, type KeyObject } from 'node:crypto'
import { optionFailure } from '../error.ts'
import { parseBase64 } from './base64.ts'
import { isKeyName, keyNameAllowed } from './key-name.ts'
import { remembered } from './remembered.ts'

/** A key with its name and id, which together tell it from others. */
export interface NoteKey {
  readonly name: string
  /** 8 hexadecimal digits. */
  readonly id: string
  readonly key: KeyObject
}

const ED25519 = 1
const KEY_BYTES = 32
const PRIVATE = 'PRIVATE+KEY+'

/**
 * A new pair of keys. The name of a log's key is its origin: 'acme.example/audit'.
 * @throws AuditError OPTION_INVALID
 */
export function generateKey(name: string): { signer: string; verifier: string } {
  if (typeof name !== 'string' || !isKeyName(name)) throw optionFailure(`generateKey: "name" must be ${keyNameAllowed}`)
  const { d, x } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const [seed, open] = [d!, x!].map((half) => Buffer.concat([Buffer.of(ED25519), Buffer.from(half, 'base64url')]))
  const start = `${name}+${keyId(name, open!)}+`
  return { signer: `${PRIVATE}${start}${seed!.toString('base64')}`, verifier: `${start}${open!.toString('base64')}` }
}

/**
 * A key that signs. `option` names it in errors, which never show a part of it.
 * @throws AuditError OPTION_INVALID
 */
export function parseSigner(option: string, text: unknown): NoteKey {
  return keyOr(option, text, signerOf)
}

/**
 * A key that verifies.
 * @throws AuditError OPTION_INVALID
 */
export function parseVerifier(option: string, text: unknown): NoteKey {
  return keyOr(option, text, verifierOf)
}

/** The verifier of a signer, as text. */
export function verifierText({ name, id, key }: NoteKey): string {
  return `${name}+${id}+${publicBytes(key).toString('base64')}`
}

function keyOr(option: string, text: unknown, read: (text: string) => NoteKey | string): NoteKey {
  const key = typeof text === 'string' ? read(text) : 'must be a string'
  if (typeof key === 'string') throw optionFailure(`${option} ${key}`)
  return key
}

const signerOf = remembered((text: string): NoteKey | string => {
  if (!text.startsWith(PRIVATE)) return `must begin with '${PRIVATE}', as generateKey writes a signer`
  const parts = partsOf(text.slice(PRIVATE.length))
  if (typeof parts === 'string') return parts
  const { name, id, bytes } = parts
  // PKCS #8 of a seed (RFC 8410, 7): a JWK would need the public key too.
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), bytes])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  if (keyId(name, publicBytes(key)) !== id) return 'has an id that is not of its name and key'
  return { name, id, key }
})

const verifierOf = remembered((text: string): NoteKey | string => {
  if (text.startsWith(PRIVATE)) return 'must be a verifier, not a signer'
  const parts = partsOf(text)
  if (typeof parts === 'string') return parts
  const { name, id, bytes } = parts
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }, format: 'jwk' })
  if (keyId(name, publicBytes(key)) !== id) return 'has an id that is not of its name and key'
  return { name, id, key }
})

function partsOf(text: string): { readonly name: string; readonly id: string; readonly bytes: Buffer } | string {
  const [, name, id, encoded] = /^([^+]*)\+([^+]*)\+(.*)$/s.exec(text) ?? []
  if (name === undefined || id === undefined || encoded === undefined)
    return "must have a name, an id and a key between '+'"
  if (!isKeyName(name)) return `must have as its name ${keyNameAllowed}`
  if (!/^[\da-f]{8}$/.test(id)) return 'must have an id of 8 hexadecimal digits in lower case'
  const bytes = parseBase64(encoded)
  if (bytes === undefined) return 'must have its key in base64, padded'
  if (bytes[0] !== ED25519) return 'must be an Ed25519 key: algorithm 1'
  if (bytes.length !== 1 + KEY_BYTES)
    return `must have a key of ${KEY_BYTES} bytes (has ${Math.max(0, bytes.length - 1)})`
  return { name, id, bytes: bytes.subarray(1) }
}

/** The algorithm and the public key, as ids and verifiers have them. */
function publicBytes(key: KeyObject): Buffer {
  const open = key.type === 'private' ? createPublicKey(key) : key
  return Buffer.concat([Buffer.of(ED25519), Buffer.from(open.export({ format: 'jwk' }).x!, 'base64url')])
}

/** SHA-256(name || 0x0A || algorithm || public key), 4 bytes. */
function keyId(name: string, open: Buffer): string {
  return hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), open]), 'hex').slice(0, 8)
}
