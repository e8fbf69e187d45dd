import { createHmac } from 'node:crypto'
import type { Clock } from '@keelson/kernel'
import { generateSecret, sign } from '../../src/index.ts'
import { publicKeysOf } from '../../src/signing/public-keys.ts'
import { github, shopify, standard, stripe, type Verifier, type VerifyInput } from '../../src/verify/index.ts'

/** 2026-01-01, when every sample is signed. */
export const SECONDS = 1_767_225_600
export const clock = { now: () => SECONDS * 1000 } as Clock

export const secrets = { old: generateSecret(), current: generateSecret(), pair: generateSecret('v1a') }
const { keys: publicKeys } = publicKeysOf([secrets.pair])
export const publicKey: string = publicKeys[0]!

/** A request whose headers can be changed. */
export interface Sample extends VerifyInput {
  readonly body: Uint8Array
  readonly headers: Record<string, string>
}

/** A scheme: its verifier, and requests that it accepts. */
export interface Scheme {
  readonly verifier: Verifier
  sample(body: Uint8Array): Sample
  /** Its header with the signature. */
  readonly header: string
  /** Index of the secret that signs; default 0. */
  readonly secret?: number
}

const hmac = (key: string, text: string, body: Uint8Array, encoding: 'hex' | 'base64'): string =>
  createHmac('sha256', key).update(text).update(body).digest(encoding)

export const schemes: Record<string, Scheme> = {
  'standard v1': {
    verifier: standard({ secrets: [secrets.current, secrets.old], clock }),
    sample: (body) => ({ body, headers: sign({ id: 'msg_1', timestamp: SECONDS, body, secrets: [secrets.current] }) }),
    header: 'webhook-signature',
  },
  'standard v1a': {
    verifier: standard({ secrets: [secrets.old], publicKeys, clock }),
    sample: (body) => ({
      body,
      headers: sign({ id: 'msg_1', timestamp: SECONDS, body, secrets: [secrets.pair], schemes: ['v1a'] }),
    }),
    header: 'webhook-signature',
    secret: 1,
  },
  svix: {
    verifier: standard({ secrets: [secrets.current], prefix: 'svix', clock }),
    sample: (body) => ({
      body,
      headers: sign({ id: 'msg_1', timestamp: SECONDS, body, secrets: [secrets.current], schemes: ['svix'] }),
    }),
    header: 'svix-signature',
  },
  github: {
    verifier: github({ secrets: ['hush', 'old hush'] }),
    sample: (body) => ({ body, headers: { 'x-hub-signature-256': `sha256=${hmac('hush', '', body, 'hex')}` } }),
    header: 'x-hub-signature-256',
  },
  stripe: {
    verifier: stripe({ secrets: ['whsec_hush'], clock }),
    sample: (body) => ({
      body,
      headers: { 'stripe-signature': `t=${SECONDS},v1=${hmac('whsec_hush', `${SECONDS}.`, body, 'hex')}` },
    }),
    header: 'stripe-signature',
  },
  shopify: {
    verifier: shopify({ secrets: ['hush'] }),
    sample: (body) => ({ body, headers: { 'x-shopify-hmac-sha256': hmac('hush', '', body, 'base64') } }),
    header: 'x-shopify-hmac-sha256',
  },
}
