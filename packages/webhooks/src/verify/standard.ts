import { verify as verifyEd25519, type KeyObject } from 'node:crypto'
import { checkOptions, opt, systemClock, type Clock, type Duration } from '@keelson/kernel'
import { optionFailure, WebhookError } from '../error.ts'
import { hmac } from '../signing/hmac.ts'
import { parsePublicKey, parseSharedSecret } from '../signing/secret.ts'
import { malformed, requiredHeaders } from './header.ts'
import { rawBody } from './raw-body.ts'
import { sameText } from './same-text.ts'
import { keysOf, secretsOption } from './secrets.ts'
import { checkTimely, TIMESTAMP } from './timely.ts'
import { verified } from './verified.ts'
import type { Verifier } from './verifier.ts'

/** What `standard` takes: secrets, public keys, or both. */
export interface StandardOptions {
  /** 1 to 20 `whsec_`; several while they change. */
  readonly secrets?: readonly string[]
  /** 1 to 20 `whpk_`. */
  readonly publicKeys?: readonly string[]
  /** How far the sender's clock may be from ours; default 5 min. */
  readonly tolerance?: Duration
  /** Of the headers; default 'webhook'. */
  readonly prefix?: 'webhook' | 'svix'
  readonly clock?: Clock
}

const SPEC = {
  secrets: secretsOption,
  publicKeys: secretsOption,
  tolerance: opt.duration('5m'),
  prefix: opt.oneOf(['webhook', 'svix'], 'webhook'),
  clock: opt.port<Clock>(['now'], systemClock),
}

/** What can stand in a header without being taken for two. */
const ID = /^[\x21-\x2b\x2d-\x7e]{1,255}$/
const SIGNATURE = /^[A-Za-z0-9]{1,16},[\x21-\x2b\x2d-\x7e]{1,512}$/
/** Each of them is compared with each key. */
const MAX_SIGNATURES = 20

/**
 * Webhooks as Standard Webhooks 1.0 and Svix sign them: `v1` by a shared secret, `v1a` by ed25519.
 * @throws WebhookError OPTION_INVALID
 */
export function standard(options: StandardOptions): Verifier {
  const { secrets, publicKeys, tolerance, prefix, clock } = checkOptions('standard', options, SPEC, optionFailure)
  if (secrets === undefined && publicKeys === undefined)
    throw optionFailure('standard: "secrets" or "publicKeys" is required')
  const shared = secrets === undefined ? [] : keysOf('standard', 'secrets', secrets, parseSharedSecret)
  const known = publicKeys === undefined ? [] : keysOf('standard', 'publicKeys', publicKeys, parsePublicKey)
  const names = { id: `${prefix}-id`, timestamp: `${prefix}-timestamp`, signature: `${prefix}-signature` }
  const wanted = [names.signature, names.id, names.timestamp]

  return {
    scheme: 'standard',
    signatureHeaders: [names.signature],
    verify(request) {
      const body = rawBody(request.body)
      const [signature, id, timestamp] = requiredHeaders(request.headers, wanted) as [string, string, string]
      if (!ID.test(id)) throw malformed(names.id, 'must be 1 to 255 visible characters, without a comma')
      if (!TIMESTAMP.test(timestamp)) throw malformed(names.timestamp, 'must be 1 to 13 digits')
      const signatures = parseSignatures(signature, names.signature)
      const seconds = Number(timestamp)
      checkTimely(seconds, tolerance, clock)

      // As it came: the digits are signed, not the number.
      const head = `${id}.${timestamp}.`
      const secret = sharedIndex(shared, signatures.v1, head, body)
      const publicKey = secret === -1 ? publicIndex(known, signatures.v1a, head, body) : -1
      if (secret + publicKey === -2) throw new WebhookError('NO_MATCH', 'no signature is of one of the secrets')
      const index = secret === -1 ? shared.length + publicKey : secret
      return verified({ body, secret: index, timestamp: new Date(seconds * 1000), id })
    },
  }
}

/** Index of the key that made one of the signatures, or -1. */
type IndexOf = (keys: readonly KeyObject[], signatures: readonly string[], head: string, body: Uint8Array) => number

const sharedIndex: IndexOf = (keys, signatures, head, body) => {
  if (signatures.length === 0) return -1
  return keys.findIndex((key) => {
    const ours = hmac(key, head, body, 'base64')
    return signatures.some((text) => sameText(text, ours))
  })
}

const publicIndex: IndexOf = (keys, signatures, head, body) => {
  if (signatures.length === 0 || keys.length === 0) return -1
  const message = Buffer.concat([Buffer.from(head), body])
  return keys.findIndex((key) =>
    signatures.some((text) => {
      const bytes = Buffer.from(text, 'base64')
      // Node skips over what is no base64: one signature has one text.
      return bytes.toString('base64') === text && verifyEd25519(null, message, key, bytes)
    }),
  )
}

/** The signatures by version. Versions of tomorrow are passed over. */
function parseSignatures(text: string, name: string): { readonly v1: string[]; readonly v1a: string[] } {
  const v1: string[] = []
  const v1a: string[] = []
  const parts = text.split(' ', MAX_SIGNATURES + 1)
  if (parts.length > MAX_SIGNATURES) throw malformed(name, `must have at most ${MAX_SIGNATURES} signatures`)
  for (const part of parts) {
    if (!SIGNATURE.test(part))
      throw malformed(name, "must be 'version,signature', several of them with a space between")
    if (part.startsWith('v1,')) v1.push(part.slice('v1,'.length))
    else if (part.startsWith('v1a,')) v1a.push(part.slice('v1a,'.length))
  }
  return { v1, v1a }
}
