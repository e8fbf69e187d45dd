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

const SIGNATURE = 'x-hub-signature-256'

/**
 * Webhooks of GitHub. Signed is the body alone: `id` (X-GitHub-Delivery) and `type` (X-GitHub-Event) are not.
 * @throws WebhookError OPTION_INVALID
 */
export function github(options: { readonly secrets: readonly string[] }): Verifier {
  const { secrets } = checkOptions('github', options, { secrets: secretsOption }, optionFailure)
  const keys = keysOf('github', 'secrets', secrets, textKey)
  return {
    scheme: 'github',
    signatureHeaders: [SIGNATURE],
    verify({ body: given, headers }) {
      const body = rawBody(given)
      const text = requiredHeader(headers, SIGNATURE)
      if (!/^sha256=[0-9a-f]{64}$/.test(text)) throw malformed(SIGNATURE, "must be 'sha256=' and 64 hex digits")
      const secret = keys.findIndex((key) => sameText(text, `sha256=${hmac(key, '', body, 'hex')}`))
      if (secret === -1) throw new WebhookError('NO_MATCH', 'the signature is of none of the secrets')
      const id = label(headers, 'x-github-delivery')
      return verified({ body, secret, timestamp: null, id, type: label(headers, 'x-github-event') })
    },
  }
}
