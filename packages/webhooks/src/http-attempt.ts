import { context, type Clock } from '@keelson/kernel'
import { isHeaderValue, type EndpointConfig, type EndpointSettings } from './endpoint-config.ts'
import type { ReadEndpoint } from './settings.ts'
import type { OpenedSecrets } from './opened-secrets.ts'
import type { Sender, SendResult } from './sending/sender.ts'
import { createSigner, type SigningScheme } from './signing/sign.ts'
import type { Claim } from './store.ts'

/** What of the event's context its attempts carry. */
export type Propagated = 'traceparent' | 'x-correlation-id'

/** What attempts over HTTP are made with. */
export interface HttpAttemptOptions {
  readonly secrets: OpenedSecrets
  readonly headerPrefix: string
  readonly propagate: readonly Propagated[]
  readonly clock: Clock
}

/**
 * Signs and sends one delivery, in `limitMs`. Rejects with DECRYPT_FAILED: nothing was tried. Nothing is waited for where
 * the secrets are open already, as they nearly always are.
 */
export function httpAttempt(
  claim: Claim,
  { config, settings }: ReadEndpoint,
  limitMs: number,
  sender: Sender,
  o: HttpAttemptOptions,
): Promise<SendResult> {
  const { token, event } = claim
  const { secrets: sealed } = claim.endpoint!
  const send = (secrets: readonly string[]): Promise<SendResult> => {
    const headers = headersOf(claim, config, settings, secrets, o)
    return sender.send({ url: config.url, headers, body: event.body, timeoutMs: limitMs })
  }
  const known = o.secrets.known(token, sealed)
  return known === undefined ? o.secrets.open(token, sealed, limitMs).then(send) : send(known)
}

function headersOf(
  { event }: Claim,
  { headers }: EndpointConfig,
  { signing }: EndpointSettings,
  secrets: readonly string[],
  { headerPrefix, propagate, clock }: HttpAttemptOptions,
): Record<string, string> {
  const all: Record<string, string> = { 'content-type': 'application/json' }
  // The event's, or of the span that a tracer has made of this attempt.
  const traceparent = context.get()?.traceparent
  if (traceparent !== undefined && propagate.includes('traceparent')) all['traceparent'] = traceparent
  if (isHeaderValue(event.correlationId) && propagate.includes('x-correlation-id')) {
    all['x-correlation-id'] = event.correlationId!
  }
  for (const name in headers) all[name.toLowerCase()] = headers[name]!
  const timestamp = Math.floor(clock.now() / 1_000)
  signerOf(secrets, signing, headerPrefix)({ id: event.id, timestamp, body: event.body }, all)
  return all
}

interface Signer {
  readonly signing: readonly SigningScheme[]
  readonly prefix: string
  readonly sign: ReturnType<typeof createSigner>
}

/** The signer that these secrets had last: they are the same list as long as they are kept open. */
const signers = new WeakMap<readonly string[], Signer>()

function signerOf(secrets: readonly string[], signing: readonly SigningScheme[], prefix: string): Signer['sign'] {
  const known = signers.get(secrets)
  if (known?.signing === signing && known.prefix === prefix) return known.sign
  const sign = createSigner(secrets, signable(signing, secrets), prefix)
  signers.set(secrets, { signing, prefix, sign })
  return sign
}

/** The schemes that there is a secret for: during a change from v1 to v1a there are both, later one. */
function signable(signing: readonly SigningScheme[], secrets: readonly string[]): readonly SigningScheme[] {
  const pairs = secrets.some((secret) => secret.startsWith('whsk_'))
  const shared = secrets.some((secret) => secret.startsWith('whsec_'))
  return signing.filter((scheme) => (scheme === 'v1a' ? pairs : shared))
}
