import { checkOptions, opt, systemClock, type Clock, type Duration } from '@keelson/kernel'
import { optionFailure, WebhookError } from '../error.ts'
import type { Inbox } from '../verify/inbox.ts'
import { rawBody } from '../verify/raw-body.ts'
import { tracedVerification } from '../verify/traced-verification.ts'
import type { VerifyHeaders } from '../verify/verifier.ts'
import { checkClaim, readClaim } from './claim.ts'
import { areComponents, componentsAllowed, withCovered } from './covered.ts'
import { parseSigningKey, type SigningKey } from './signing-key.ts'

/** A key, whose it is, and of which tenant. */
export type PrincipalKey = SigningKey & { readonly principal?: string; readonly scope?: string }

/** What `requestVerifier` takes. */
export interface RequestVerifierOptions {
  /** The key of a keyid, null for one that is not known. What it throws comes out as it is. */
  readonly keys: (keyId: string) => PrincipalKey | null | Promise<PrincipalKey | null>
  /** Remembers nonces, so that a request can be sent once. Without it one can be replayed within the tolerance. */
  readonly nonces?: Inbox
  /** How far the sender's clock may be from ours; default 5 min. */
  readonly tolerance?: Duration
  /** Header fields that must be signed beside `@method @authority @path @query content-digest`, in lower case. */
  readonly require?: readonly string[]
  readonly clock?: Clock
}

/** A signed request as it came in. */
export interface RequestToVerify {
  readonly method: string
  /** Absolute, or as it stands in the request; then the authority is the Host header's. */
  readonly url: string
  readonly headers: VerifyHeaders
  /** The raw bytes; a string is taken as UTF-8. Default none. */
  readonly body?: Uint8Array | string
}

/** Who signed a request. */
export interface VerifiedRequest {
  readonly keyId: string
  readonly principal: string | null
  /** Of the key; null where it has none. */
  readonly scope: string | null
  readonly nonce: string
}

/** Verifies requests of several keys. */
export interface RequestVerifier {
  /**
   * Who signed it. The nonce is used up only by a request that is good.
   * @throws WebhookError with a code of the README's list, and what `keys` and `nonces` throw.
   */
  verify(request: RequestToVerify): Promise<VerifiedRequest>
}

const SPEC = {
  keys: opt.required(opt.fn<RequestVerifierOptions['keys']>()),
  nonces: opt.port<Inbox>(['consume']),
  tolerance: opt.duration('5m'),
  require: opt.custom<readonly string[]>(componentsAllowed, areComponents, []),
  clock: opt.port<Clock>(['now'], systemClock),
}

/**
 * Verifies what `requestSigner`, or another signer of RFC 9421 with the same components and parameters, has signed.
 * @throws WebhookError OPTION_INVALID
 */
export function requestVerifier(options: RequestVerifierOptions): RequestVerifier {
  const o = checkOptions('requestVerifier', options, SPEC, optionFailure)
  const rules = { required: withCovered(o.require), toleranceMs: o.tolerance, clock: o.clock }
  // From one end of the tolerance to the other, and the second that whole seconds leave open.
  const retain = 2 * o.tolerance + 1000

  async function verify(request: RequestToVerify): Promise<VerifiedRequest> {
    const body = rawBody(request.body ?? '')
    const claim = readClaim(request, rules)
    const { keyId, nonce } = claim
    const given = await o.keys(keyId)
    if (given === null || given === undefined) throw new WebhookError('UNKNOWN_KEY', 'the keyid is not known')
    const key = parseSigningKey(given)
    if (typeof key === 'string') throw optionFailure(`requestVerifier: what "keys" answers ${key}`)
    checkClaim(claim, key, body)
    const used = await o.nonces?.consume({ scope: keyId, op: 'nonce', key: nonce, retain }, async () => {})
    if (used !== undefined && used !== 'processed') throw new WebhookError('REPLAYED', 'the nonce was used before')
    return { keyId, principal: given.principal ?? null, scope: given.scope ?? null, nonce }
  }

  return { verify: (request) => tracedVerification('http-signature', () => verify(request)) }
}
