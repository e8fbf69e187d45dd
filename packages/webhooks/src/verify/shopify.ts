import { checkOptions } from '@keelson/kernel'
import { optionFailure, WebhookError } from '../error.ts'
import { hmac } from '../signing/hmac.ts'
import { malformed, requiredHeader } from './header.ts'
import { label } from './label.ts'
import { rawBody } from './raw-body.ts'
import { sameText } from './same-text.ts'
import { keysOf, secretsOption, textKey } from './secrets.ts'
import { verified } from './verified.ts'
import type { Verifier } from './verifier.ts'

const SIGNATURE = 'x-shopify-hmac-sha256'

/**
 * Webhooks of Shopify. Signed is the body alone: `id` (X-Shopify-Webhook-Id) and `type` (X-Shopify-Topic) are not.
 * @throws WebhookError OPTION_INVALID
 */
export function shopify(options: { readonly secrets: readonly string[] }): Verifier {
  const { secrets } = checkOptions('shopify', options, { secrets: secretsOption }, optionFailure)
  const keys = keysOf('shopify', 'secrets', secrets, textKey)
  return {
    scheme: 'shopify',
    signatureHeaders: [SIGNATURE],
    verify({ body: given, headers }) {
      const body = rawBody(given)
      const text = requiredHeader(headers, SIGNATURE)
      if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) throw malformed(SIGNATURE, 'must be base64 of 32 bytes')
      const secret = keys.findIndex((key) => sameText(text, hmac(key, '', body, 'base64')))
      if (secret === -1) throw new WebhookError('NO_MATCH', 'the signature is of none of the secrets')
      const id = label(headers, 'x-shopify-webhook-id')
      return verified({ body, secret, timestamp: null, id, type: label(headers, 'x-shopify-topic') })
    },
  }
}
