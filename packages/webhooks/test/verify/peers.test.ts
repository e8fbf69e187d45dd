/** Ours and what senders and receivers use, both ways. */
import { execFileSync } from 'node:child_process'
import { createHmac, createPublicKey } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as octokit from '@octokit/webhooks-methods'
import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { Stripe } from 'stripe'
import { Webhook as SvixWebhook } from 'svix'
import { afterAll, expect, test } from 'vitest'
import { generateSecret, sign } from '../../src/index.ts'
import { publicKeysOf } from '../../src/signing/public-keys.ts'
import { github, shopify, standard, stripe } from '../../src/verify/index.ts'

const secret = generateSecret()
const json = fc.json()
const now = (): number => Math.floor(Date.now() / 1000)
const folder = mkdtempSync(join(tmpdir(), 'webhooks-peers-'))
afterAll(() => rmSync(folder, { recursive: true }))

function openssl(args: readonly string[], input?: Buffer): Buffer {
  return execFileSync('openssl', args, { input: input ?? Buffer.alloc(0), stdio: ['pipe', 'pipe', 'pipe'] })
}

test('standardwebhooks', () => {
  const theirs = new Webhook(secret)
  const ours = standard({ secrets: [secret] })
  fc.assert(
    fc.property(json, (text) => {
      const body = Buffer.from(text)
      const signed = sign({ id: 'msg_1', timestamp: now(), body, secrets: [generateSecret(), secret] })
      expect(theirs.verify(body, signed)).toEqual(JSON.parse(text))

      const timestamp = new Date()
      const headers = {
        'Webhook-Id': 'msg_2',
        'Webhook-Timestamp': String(Math.floor(timestamp.getTime() / 1000)),
        'Webhook-Signature': theirs.sign('msg_2', timestamp, text),
      }
      expect(ours.verify({ body, headers }).json()).toEqual(JSON.parse(text))
    }),
  )
})

test('svix', () => {
  const theirs = new SvixWebhook(secret)
  const ours = standard({ secrets: [secret], prefix: 'svix' })
  fc.assert(
    fc.property(json, (text) => {
      const body = Buffer.from(text)
      for (const scheme of ['svix', 'v1'] as const) {
        const signed = sign({ id: 'msg_1', timestamp: now(), body, secrets: [secret], schemes: [scheme] })
        expect(() => theirs.verify(body, signed)).not.toThrow()
      }
      const timestamp = new Date()
      const headers = {
        'svix-id': 'msg_2',
        'svix-timestamp': String(Math.floor(timestamp.getTime() / 1000)),
        'svix-signature': theirs.sign('msg_2', timestamp, text),
      }
      expect(ours.verify({ body, headers }).id).toBe('msg_2')
    }),
  )
})

test('stripe', () => {
  const { webhooks } = new Stripe('sk_test_none')
  const ours = stripe({ secrets: ['whsec_old', 'whsec_test'] })
  fc.assert(
    fc.property(json, (text) => {
      const header = webhooks.generateTestHeaderString({ payload: text, secret: 'whsec_test' })
      expect(ours.verify({ body: text, headers: { 'Stripe-Signature': header } })).toMatchObject({ secret: 1 })
      const seconds = now()
      const mine = createHmac('sha256', 'whsec_test').update(`${seconds}.`).update(text).digest('hex')
      expect(() => webhooks.constructEvent(text, `t=${seconds},v1=${mine}`, 'whsec_test')).not.toThrow()
    }),
  )
})

test('@octokit/webhooks-methods', async () => {
  const ours = github({ secrets: ['It is a secret'] })
  await fc.assert(
    fc.asyncProperty(json, async (text) => {
      const header = await octokit.sign('It is a secret', text)
      expect(ours.verify({ body: text, headers: { 'X-Hub-Signature-256': header } }).body).toEqual(Buffer.from(text))
      expect(await octokit.verify('It is a secret', text, header)).toBe(true)
    }),
  )
})

test('openssl: HMAC of Standard Webhooks, GitHub, Shopify', () => {
  const body = Buffer.from([0, 255, 10, 13, 128, 1])
  const key = Buffer.from(secret.slice(6), 'base64').toString('hex')
  const timestamp = now()
  const mac = (hexKey: string, text: Buffer): Buffer =>
    openssl(['dgst', '-sha256', '-mac', 'HMAC', '-macopt', `hexkey:${hexKey}`, '-binary'], text)

  const signature = `v1,${mac(key, Buffer.concat([Buffer.from(`m.${timestamp}.`), body])).toString('base64')}`
  const headers = sign({ id: 'm', timestamp, body, secrets: [secret] })
  expect(headers['webhook-signature']).toBe(signature)
  expect(
    standard({ secrets: [secret] }).verify({ body, headers: { ...headers, 'webhook-signature': signature } }).id,
  ).toBe('m')

  const plain = mac(Buffer.from('hush').toString('hex'), body)
  const hub = { 'x-hub-signature-256': `sha256=${plain.toString('hex')}` }
  expect(github({ secrets: ['hush'] }).verify({ body, headers: hub }).secret).toBe(0)
  const shop = { 'x-shopify-hmac-sha256': plain.toString('base64') }
  expect(shopify({ secrets: ['hush'] }).verify({ body, headers: shop }).secret).toBe(0)
})

test('openssl: ed25519', () => {
  const at = (name: string): string => join(folder, name)
  openssl(['genpkey', '-algorithm', 'ed25519', '-out', at('key.pem')])
  const der = openssl(['pkey', '-in', at('key.pem'), '-outform', 'DER'])
  const publicDer = openssl(['pkey', '-in', at('key.pem'), '-pubout', '-outform', 'DER'])
  const pair = `whsk_${Buffer.concat([der.subarray(-32), publicDer.subarray(-32)]).toString('base64')}`
  const { keys, jwks } = publicKeysOf([pair])
  expect(createPublicKey({ key: { ...jwks.keys[0]! }, format: 'jwk' }).export({ format: 'der', type: 'spki' })).toEqual(
    publicDer,
  )

  const body = Buffer.from([0, 255, 10, 13, 128, 1])
  const timestamp = now()
  writeFileSync(at('message'), Buffer.concat([Buffer.from(`m.${timestamp}.`), body]))
  const theirs = openssl(['pkeyutl', '-sign', '-inkey', at('key.pem'), '-rawin', '-in', at('message')])
  const headers = sign({ id: 'm', timestamp, body, secrets: [pair], schemes: ['v1a'] })
  // Ed25519 has one signature for a message.
  expect(headers['webhook-signature']).toBe(`v1a,${theirs.toString('base64')}`)
  expect(standard({ publicKeys: keys }).verify({ body, headers }).id).toBe('m')

  const ours = headers['webhook-signature']!.slice(4)
  writeFileSync(at('signature'), Buffer.from(ours, 'base64'))
  const told = openssl([
    'pkeyutl',
    '-verify',
    '-inkey',
    at('key.pem'),
    '-rawin',
    '-in',
    at('message'),
    '-sigfile',
    at('signature'),
  ])
  expect(told.toString()).toContain('Verified Successfully')
})
