import { hash, type KeyObject } from 'node:crypto'
import type { Clock } from '@keelson/kernel'
import { WebhookError } from '../error.ts'
import { hmac } from '../signing/hmac.ts'
import { malformed, requiredHeader } from '../verify/header.ts'
import { sameText } from '../verify/same-text.ts'
import { checkTimely } from '../verify/timely.ts'
import type { VerifyHeaders } from '../verify/verifier.ts'
import { isKeyId } from './key-id.ts'
import { receivedTarget } from './request-target.ts'
import { componentOf, FIELD, isOneLine, signatureBase, COVERED } from './signature-base.ts'
import { parseByteSequences, parseInnerLists, type InnerList } from './structured-fields.ts'

/** What a request says of its own signature. Nothing of it is proven before `checkClaim`. */
export interface Claim {
  readonly keyId: string
  readonly alg: string
  readonly nonce: string
  /** When it was signed, seconds since 1970. */
  readonly created: number
  readonly base: string
  /** base64 */
  readonly signature: string
  /** base64 of the body's SHA-256 */
  readonly digest: string
}

/** What must be true of every claim. */
export interface ClaimRules {
  /** Names of components. */
  readonly required: readonly string[]
  readonly toleranceMs: number
  readonly clock: Pick<Clock, 'now'>
}

/** The request as far as its signature goes. */
export interface SignedRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: VerifyHeaders
}

const LABEL = 'sig1'
const INPUT = 'signature-input'
const SIGNATURE = 'signature'
const DIGEST = 'content-digest'

/**
 * Reads the signature `sig1` of a request; others are left to those whom they are for.
 * @throws WebhookError MISSING_HEADER, MALFORMED_HEADER, MISSING_COMPONENT, TOO_OLD, TOO_NEW
 */
export function readClaim(request: SignedRequest, { required, toleranceMs, clock }: ClaimRules): Claim {
  const input = parseInnerLists(requiredHeader(request.headers, INPUT))?.get(LABEL)
  if (input === undefined) throw malformed(INPUT, `must be a dictionary with ${LABEL}, as RFC 9421 has it`)
  const signature = parseByteSequences(requiredHeader(request.headers, SIGNATURE))?.get(LABEL)
  if (signature === undefined) throw malformed(SIGNATURE, `must be a dictionary with ${LABEL}, as RFC 9421 has it`)

  const names = namesOf(input)
  const absent = required.find((name) => !names.includes(name))
  if (absent !== undefined) throw new WebhookError('MISSING_COMPONENT', `the signature does not cover ${absent}`)
  const { created, ...params } = paramsOf(input.params)
  checkTimely(created, toleranceMs, clock)
  checkUnexpired(input.params.get('expires'), clock)

  const values = valuesOf(names, request)
  const digest = parseByteSequences(values.find(([name]) => name === DIGEST)![1])?.get('sha-256')
  if (digest === undefined) throw malformed(DIGEST, 'must be a dictionary with sha-256, as RFC 9530 has it')
  return { ...params, created, base: signatureBase(values, input.text), signature, digest }
}

/**
 * Proves a claim: first who signed, then that the body is the one that was signed.
 * @throws WebhookError NO_MATCH, DIGEST_MISMATCH
 */
export function checkClaim(claim: Claim, key: KeyObject, body: Uint8Array): void {
  if (claim.alg !== 'hmac-sha256') throw new WebhookError('NO_MATCH', "the key's alg is hmac-sha256")
  const ours = hmac(key, '', Buffer.from(claim.base, 'latin1'), 'base64')
  if (!sameText(claim.signature, ours)) throw new WebhookError('NO_MATCH', 'the signature is not of the key')
  if (!sameText(claim.digest, hash('sha256', body, 'base64'))) {
    throw new WebhookError('DIGEST_MISMATCH', 'the body is not the one that was signed')
  }
}

function namesOf({ items }: InnerList): readonly string[] {
  const names = items.map(({ name }) => name)
  if (new Set(names).size < names.length) throw malformed(INPUT, 'must cover each component once')
  for (const { name, plain } of items) {
    if (!plain || !(COVERED.includes(name) || FIELD.test(name))) {
      throw malformed(INPUT, 'covers a component that is not of this profile')
    }
  }
  return names
}

function paramsOf(params: InnerList['params']): Pick<Claim, 'keyId' | 'alg' | 'nonce' | 'created'> {
  const [created, nonce, keyId, alg] = ['created', 'nonce', 'keyid', 'alg'].map((name) => params.get(name))
  if (typeof created !== 'number') throw malformed(INPUT, 'must have created, an integer')
  if (typeof nonce !== 'string' || nonce === '' || nonce.length > 128) {
    throw malformed(INPUT, 'must have nonce, a string of 1 to 128')
  }
  if (!isKeyId(keyId)) throw malformed(INPUT, 'must have keyid, a string of 1 to 128')
  if (typeof alg !== 'string') throw malformed(INPUT, 'must have alg, a string')
  return { created, nonce, keyId, alg }
}

function checkUnexpired(expires: number | string | true | undefined, clock: Pick<Clock, 'now'>): void {
  if (expires === undefined) return
  if (typeof expires !== 'number') throw malformed(INPUT, 'must have expires as an integer')
  if (clock.now() > expires * 1000) throw new WebhookError('TOO_OLD', 'the signature has expired')
}

function valuesOf(names: readonly string[], { method, url, headers }: SignedRequest): [name: string, value: string][] {
  const parts = { method, target: url === undefined ? undefined : receivedTarget(url, headers), headers }
  return names.map((name) => {
    const value = componentOf(name, parts)
    if (value === undefined) throw new WebhookError('MISSING_COMPONENT', `the request has no ${name}`)
    if (!isOneLine(value)) throw malformed(name, 'must be one line of Latin-1')
    return [name, value]
  })
}
