import { hash, randomBytes } from 'node:crypto'
import { checkOptions, opt, systemClock, type Clock } from '@keelson/kernel'
import { optionFailure, WebhookError } from '../error.ts'
import { hmac } from '../signing/hmac.ts'
import { rawBody } from '../verify/raw-body.ts'
import type { VerifyHeaders } from '../verify/verifier.ts'
import { areComponents, componentsAllowed, withCovered } from './covered.ts'
import { isKeyId, keyIdAllowed } from './key-id.ts'
import { sentTarget } from './request-target.ts'
import { componentOf, isOneLine, signatureBase } from './signature-base.ts'
import { parseSigningKey, type SigningKey } from './signing-key.ts'

/** What `requestSigner` takes. */
export interface RequestSignerOptions {
  /** By which the receiver finds the key: 1 to 128 printable characters of ASCII. */
  readonly keyId: string
  readonly key: SigningKey
  /** Header fields that are signed beside `@method @authority @path @query content-digest`, in lower case. */
  readonly components?: readonly string[]
  readonly clock?: Clock
}

/** A request before it leaves. */
export interface RequestToSign {
  readonly method: string
  /** Absolute, as it is given to `fetch`. */
  readonly url: string | URL
  /** Needed for what `components` names. */
  readonly headers?: VerifyHeaders
  /** The bytes that are sent; a string as UTF-8. Default none. */
  readonly body?: Uint8Array | string
}

/** Signs requests with one key. */
export interface RequestSigner {
  /**
   * The headers to send along. Each call makes its own: the nonce can be used once.
   * @throws WebhookError INPUT_INVALID, BODY_NOT_RAW
   */
  sign(request: RequestToSign): Record<'content-digest' | 'signature-input' | 'signature', string>
}

const SPEC = {
  keyId: opt.required(opt.custom<string>(keyIdAllowed, isKeyId)),
  // Read below: what the kernel says of a wrong option would show it.
  key: opt.custom<unknown>('a SigningKey', () => true),
  components: opt.custom<readonly string[]>(componentsAllowed, areComponents, []),
  clock: opt.port<Clock>(['now'], systemClock),
}

/**
 * Signs requests as RFC 9421 has it, with HMAC-SHA256 over method, authority, path, query and the digest of the body.
 * @throws WebhookError OPTION_INVALID that never shows the key.
 */
export function requestSigner(options: RequestSignerOptions): RequestSigner {
  const { keyId, key: given, components, clock } = checkOptions('requestSigner', options, SPEC, optionFailure)
  const key = parseSigningKey(given)
  if (typeof key === 'string') throw optionFailure(`requestSigner: "key" ${key}`)
  const names = withCovered(components)
  const list = names.map((name) => `"${name}"`).join(' ')
  const keyid = keyId.replaceAll(/["\\]/g, '\\$&')

  return {
    sign(request) {
      const body = rawBody(request.body ?? '')
      const digest = `sha-256=:${hash('sha256', body, 'base64')}:`
      const parts = {
        method: methodOf(request.method),
        target: sentTarget(request.url),
        headers: request.headers ?? {},
      }
      if (parts.target === undefined) throw invalid('"url" must be absolute, of http or https')
      const values = names.map((name) => {
        const value = name === 'content-digest' ? digest : componentOf(name, parts)
        if (value === undefined) throw invalid(`"headers" must have ${name}, which "components" names`)
        if (!isOneLine(value)) throw invalid(`${name} must be one line of Latin-1`)
        return [name, value] as const
      })
      const created = Math.floor(clock.now() / 1000)
      const nonce = randomBytes(16).toString('base64url')
      const params = `(${list});created=${created};nonce="${nonce}";keyid="${keyid}";alg="hmac-sha256"`
      const base = Buffer.from(signatureBase(values, params), 'latin1')
      return {
        'content-digest': digest,
        'signature-input': `sig1=${params}`,
        signature: `sig1=:${hmac(key, '', base, 'base64')}:`,
      }
    },
  }
}

/** Node and servers know them in upper case. */
function methodOf(method: unknown): string {
  if (typeof method === 'string' && /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/.test(method)) return method.toUpperCase()
  throw invalid('"method" must be a method of HTTP')
}

function invalid(what: string): WebhookError {
  return new WebhookError('INPUT_INVALID', `sign: ${what}`)
}
