import { hash } from 'node:crypto'
import { WebhookError } from '../error.ts'
import { parseSecret, publicHalf } from './secret.ts'

/** An ed25519 key as RFC 8037 has it; `kid` is its thumbprint (RFC 7638). */
interface PublicJwk {
  readonly kty: 'OKP'
  readonly crv: 'Ed25519'
  readonly x: string
  readonly kid: string
  readonly alg: 'EdDSA'
  readonly use: 'sig'
}

/** What receivers may know of an endpoint's secrets: `whpk_` texts, and the same keys as a JWK set. */
export interface PublicKeys {
  readonly keys: string[]
  readonly jwks: { readonly keys: PublicJwk[] }
}

/**
 * The public keys of the `whsk_` among `secrets`, in their order. A `whsec_` has none.
 * @throws WebhookError OPTION_INVALID
 */
export function publicKeysOf(secrets: readonly string[]): PublicKeys {
  const halves = secrets.flatMap((text, i) => {
    const secret = parseSecret(text)
    if (typeof secret === 'string') throw new WebhookError('OPTION_INVALID', `publicKeys: "secrets[${i}]" ${secret}`)
    return secret.version === 'v1a' ? [publicHalf(secret.key)] : []
  })
  return {
    keys: halves.map((x) => `whpk_${Buffer.from(x, 'base64url').toString('base64')}`),
    jwks: { keys: halves.map(jwkOf) },
  }
}

function jwkOf(x: string): PublicJwk {
  const kid = hash('sha256', `{"crv":"Ed25519","kty":"OKP","x":"${x}"}`, 'base64url')
  return { kty: 'OKP', crv: 'Ed25519', x, kid, alg: 'EdDSA', use: 'sig' }
}
