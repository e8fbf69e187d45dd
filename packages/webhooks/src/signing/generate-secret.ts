import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { WebhookError } from '../error.ts'

/**
 * A new secret of an endpoint: `whsec_` with 32 random bytes for 'v1' (HMAC-SHA256, default), `whsk_` with an ed25519
 * seed and its public key for 'v1a'.
 * @throws WebhookError OPTION_INVALID
 */
export function generateSecret(kind: 'v1' | 'v1a' = 'v1'): string {
  switch (kind) {
    case 'v1':
      return `whsec_${randomBytes(32).toString('base64')}`
    case 'v1a':
      return `whsk_${pair().toString('base64')}`
    default:
      throw new WebhookError('OPTION_INVALID', `generateSecret: "kind" must be 'v1' or 'v1a' (got ${String(kind)})`)
  }
}

function pair(): Buffer {
  const { d, x } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  return Buffer.concat([Buffer.from(d!, 'base64url'), Buffer.from(x!, 'base64url')])
}
