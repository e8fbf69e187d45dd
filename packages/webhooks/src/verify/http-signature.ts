import { checkOptions, opt, systemClock, type Clock, type Duration } from '@keelson/kernel'
import { optionFailure, WebhookError } from '../error.ts'
import { checkClaim, readClaim } from '../request-signing/claim.ts'
import { areComponents, componentsAllowed, withCovered } from '../request-signing/covered.ts'
import { parseSigningKey, type SigningKey } from '../request-signing/signing-key.ts'
import { rawBody } from './raw-body.ts'
import { verified } from './verified.ts'
import type { Verifier } from './verifier.ts'

/** What `httpSignature` takes. */
export interface HttpSignatureOptions {
  /** By keyid, 1 to 20 of them. */
  readonly keys: Readonly<Record<string, SigningKey>>
  /** How far the sender's clock may be from ours; default 5 min. */
  readonly tolerance?: Duration
  /** Header fields that must be signed beside `@method @authority @path @query content-digest`, in lower case. */
  readonly require?: readonly string[]
  readonly clock?: Clock
}

const SPEC = {
  // Read below: what the kernel says of a wrong option would show it.
  keys: opt.custom<unknown>('SigningKeys by keyid', () => true),
  tolerance: opt.duration('5m'),
  require: opt.custom<readonly string[]>(componentsAllowed, areComponents, []),
  clock: opt.port<Clock>(['now'], systemClock),
}

/**
 * Webhooks that are signed as `./request-signing` has it (RFC 9421). `id` is the nonce: a sender that signs each attempt
 * anew has another one each time.
 * @throws WebhookError OPTION_INVALID
 */
export function httpSignature(options: HttpSignatureOptions): Verifier {
  const o = checkOptions('httpSignature', options, SPEC, optionFailure)
  const keys = keysById(o.keys)
  const rules = { required: withCovered(o.require), toleranceMs: o.tolerance, clock: o.clock }
  return {
    scheme: 'http-signature',
    signatureHeaders: ['signature'],
    verify(request) {
      const body = rawBody(request.body)
      const claim = readClaim(request, rules)
      const known = keys.get(claim.keyId)
      if (known === undefined) throw new WebhookError('UNKNOWN_KEY', 'the keyid is not known')
      checkClaim(claim, known.key, body)
      const timestamp = new Date(claim.created * 1000)
      return verified({ body, secret: known.index, timestamp, id: claim.nonce, type: null })
    },
  }
}

function keysById(given: unknown) {
  const entries = typeof given === 'object' && given !== null ? Object.entries(given) : []
  if (entries.length === 0 || entries.length > 20) {
    throw optionFailure('httpSignature: "keys" must be an object of 1 to 20 SigningKeys by keyid')
  }
  return new Map(
    entries.map(([keyId, one], index) => {
      const key = parseSigningKey(one)
      if (typeof key === 'string') throw optionFailure(`httpSignature: "keys.${keyId}" ${key}`)
      return [keyId, { key, index }]
    }),
  )
}
