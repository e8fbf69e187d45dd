import { sign as signEd25519 } from 'node:crypto'
import { WebhookError } from '../error.ts'
import { mac } from './mac.ts'
import { isMessageId, messageIdAllowed } from './message-id.ts'
import { remembered } from './remembered.ts'
import { parseSecret, type SigningSecret } from './secret.ts'

/**
 * How deliveries are signed: 'v1' (HMAC-SHA256) and 'v1a' (ed25519) as Standard Webhooks have it, 'svix' as 'v1' under
 * `svix-` headers. The last three are of later releases and refused until then.
 */
export type SigningScheme = 'v1' | 'v1a' | 'svix' | 'github' | 'stripe' | 'shopify'

/** One attempt of a delivery. */
export interface SignOptions {
  readonly id: string
  /** Seconds since 1970. */
  readonly timestamp: number
  readonly body: Uint8Array
  /** 1 to 20, current first: `whsec_` signs v1 and svix, `whsk_` v1a. One that no scheme uses is left out. */
  readonly secrets: readonly string[]
  /** Default `['v1']`. */
  readonly schemes?: readonly SigningScheme[]
  /** Of the event; only headers of later schemes tell it. */
  readonly type?: string
}

const SCHEMES: Readonly<Record<string, { readonly prefix: string; readonly version: SigningSecret['version'] }>> = {
  v1: { prefix: 'webhook', version: 'v1' },
  v1a: { prefix: 'webhook', version: 'v1a' },
  svix: { prefix: 'svix', version: 'v1' },
}
const LATER: readonly unknown[] = ['github', 'stripe', 'shopify']
const DEFAULT: readonly SigningScheme[] = ['v1']

/** As many signatures as verifiers look at. */
const MAX_SECRETS = 20
const MAX_SECONDS = 9_999_999_999_999

/** An endpoint signs with the same secrets again and again; parsing an ed25519 pair costs more than a signature. */
const secretOf = remembered(1_000, parseSecret)

/** What is signed of one attempt. */
type Message = Pick<SignOptions, 'id' | 'timestamp' | 'body'>

/**
 * The headers of one attempt: every secret signs, in the order given, all with one timestamp.
 * @throws WebhookError OPTION_INVALID that never shows a secret.
 */
export function sign(o: SignOptions): Record<string, string> {
  checkMessage(o)
  const headers: Record<string, string> = {}
  createSigner(o.secrets, o.schemes ?? DEFAULT)(o, headers)
  return headers
}

/**
 * What `sign` does, with all read that stays the same over attempts: adds the headers of a message that is known to be
 * good. `prefix` is what those of Standard Webhooks begin with.
 * @throws WebhookError OPTION_INVALID that never shows a secret.
 */
export function createSigner(
  texts: readonly string[],
  names: readonly SigningScheme[],
  prefix = 'webhook',
): (message: Message, headers: Record<string, string>) => void {
  const schemes = schemesOf(names)
  const wanted = new Set(schemes.map(({ version }) => version))
  const secrets = secretsOf(texts).filter(({ version }) => wanted.has(version))
  for (const { version } of schemes) {
    if (secrets.some((one) => one.version === version)) continue
    throw invalid(`"secrets" must have a ${version === 'v1' ? 'whsec_' : 'whsk_'} for what "schemes" has`)
  }
  const groups = [...new Set(schemes.map((scheme) => scheme.prefix))].map((own) => {
    const versions = schemes.filter((one) => one.prefix === own).map((one) => one.version)
    const first = own === 'webhook' ? prefix : own
    return {
      id: `${first}-id`,
      timestamp: `${first}-timestamp`,
      signature: `${first}-signature`,
      by: secrets.flatMap(({ version }, i) => (versions.includes(version) ? [i] : [])),
    }
  })
  return ({ id, timestamp, body }, headers) => {
    const seconds = String(timestamp)
    const head = `${id}.${seconds}.`
    const signed = secrets.map((secret) => `${secret.version},${signature(secret, head, body)}`)
    for (const { id: idName, timestamp: timestampName, signature: signatureName, by } of groups) {
      headers[idName] = id
      headers[timestampName] = seconds
      headers[signatureName] = by.length === 1 ? signed[by[0]!]! : by.map((i) => signed[i]).join(' ')
    }
  }
}

function signature(secret: SigningSecret, head: string, body: Uint8Array): string {
  if (secret.version === 'v1') return mac(secret.key, head, body)
  // Ed25519 reads its message twice, so it takes it whole.
  return signEd25519(null, Buffer.concat([Buffer.from(head), body]), secret.key).toString('base64')
}

function checkMessage({ id, timestamp, body }: SignOptions): void {
  if (!isMessageId(id)) throw invalid(`"id" must be ${messageIdAllowed}`)
  if (!Number.isSafeInteger(timestamp) || timestamp < 0 || timestamp > MAX_SECONDS) {
    throw invalid(`"timestamp" must be whole seconds since 1970, at most 13 digits (got ${String(timestamp)})`)
  }
  if (!(body instanceof Uint8Array)) throw invalid('"body" must be a Uint8Array: the bytes that are sent')
}

function schemesOf(names: readonly SigningScheme[]): readonly (typeof SCHEMES)[string][] {
  if (!Array.isArray(names) || names.length === 0) throw invalid('"schemes" must be an array with a scheme')
  return names.map((name: SigningScheme) => {
    if (LATER.includes(name)) throw invalid(`"schemes": '${name}' is not in this release; there are v1, v1a, svix`)
    if (!Object.hasOwn(SCHEMES, name)) throw invalid('"schemes" must be of v1, v1a, svix')
    return SCHEMES[name]!
  })
}

function secretsOf(texts: readonly string[]): SigningSecret[] {
  if (!Array.isArray(texts) || texts.length === 0 || texts.length > MAX_SECRETS) {
    throw invalid(`"secrets" must be an array of 1 to ${MAX_SECRETS}`)
  }
  return texts.map((text: string, i) => {
    const secret = secretOf(text)
    if (typeof secret === 'string') throw invalid(`"secrets[${i}]" ${secret}`)
    return secret
  })
}

function invalid(what: string): WebhookError {
  return new WebhookError('OPTION_INVALID', `sign: ${what}`)
}
