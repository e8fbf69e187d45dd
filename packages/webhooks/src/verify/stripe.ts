import { checkOptions, opt, systemClock, type Clock, type Duration } from '@keelson/kernel'
import { optionFailure, WebhookError } from '../error.ts'
import { hmac } from '../signing/hmac.ts'
import { malformed, requiredHeader } from './header.ts'
import { rawBody } from './raw-body.ts'
import { sameText } from './same-text.ts'
import { keysOf, secretsOption, textKey } from './secrets.ts'
import { checkTimely, TIMESTAMP } from './timely.ts'
import { verified } from './verified.ts'
import type { Verifier } from './verifier.ts'

/** What `stripe` takes. */
export interface StripeOptions {
  /** 1 to 20, with their `whsec_`. */
  readonly secrets: readonly string[]
  /** How far the sender's clock may be from ours; default 5 min. */
  readonly tolerance?: Duration
  readonly clock?: Clock
}

const SPEC = {
  secrets: secretsOption,
  tolerance: opt.duration('5m'),
  clock: opt.port<Clock>(['now'], systemClock),
}

const SIGNATURE = 'stripe-signature'
const PART = /^([a-z][a-z0-9]{0,15})=([\x21-\x2b\x2d-\x7e]{1,512})$/
const MAX_SIGNATURES = 20

/**
 * Webhooks of Stripe. `id` and `type` are the event's own, from the signed body.
 * @throws WebhookError OPTION_INVALID
 */
export function stripe(options: StripeOptions): Verifier {
  const { secrets, tolerance, clock } = checkOptions('stripe', options, SPEC, optionFailure)
  const keys = keysOf('stripe', 'secrets', secrets, textKey)
  return {
    scheme: 'stripe',
    signatureHeaders: [SIGNATURE],
    verify({ body: given, headers }) {
      const body = rawBody(given)
      const { timestamp, signatures } = parseSignature(requiredHeader(headers, SIGNATURE))
      const seconds = Number(timestamp)
      checkTimely(seconds, tolerance, clock)
      const secret = keys.findIndex((key) => {
        const ours = hmac(key, `${timestamp}.`, body, 'hex')
        return signatures.some((text) => sameText(text, ours))
      })
      if (secret === -1) throw new WebhookError('NO_MATCH', 'no signature is of one of the secrets')
      return verified({ body, secret, timestamp: new Date(seconds * 1000) })
    },
  }
}

/** `t=…,v1=…[,v1=…]`. Versions of yesterday and tomorrow are passed over. */
function parseSignature(text: string): { readonly timestamp: string; readonly signatures: readonly string[] } {
  let timestamp: string | undefined
  const signatures: string[] = []
  const parts = text.split(',', MAX_SIGNATURES + 2)
  if (parts.length > MAX_SIGNATURES + 1) throw malformed(SIGNATURE, `must have at most ${MAX_SIGNATURES} signatures`)
  for (const part of parts) {
    const [, name, value] = PART.exec(part) ?? []
    if (name === undefined || value === undefined) throw malformed(SIGNATURE, "must be 't=…,v1=…'")
    if (name === 'v1') signatures.push(value)
    if (name !== 't') continue
    if (timestamp !== undefined || !TIMESTAMP.test(value))
      throw malformed(SIGNATURE, "must have one 't=' and 1 to 13 digits")
    timestamp = value
  }
  if (timestamp === undefined) throw malformed(SIGNATURE, "must have 't='")
  return { timestamp, signatures }
}
