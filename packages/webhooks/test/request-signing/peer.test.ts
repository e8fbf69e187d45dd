/** npm's http-message-signatures, both ways. */
import { hash } from 'node:crypto'
import fc from 'fast-check'
import { createSigner, createVerifier, httpbis } from 'http-message-signatures'
import { expect, test } from 'vitest'
import { requestSigner, requestVerifier } from '../../src/request-signing/index.ts'

const key = 'a key of thirty two bytes, about'
const fields = ['@method', '@authority', '@path', '@query', 'content-digest', 'content-type']
const params = ['created', 'nonce', 'keyid', 'alg']
const urls = fc.webUrl({ withQueryParameters: true }).map((url) => new URL(url).href)

test('it verifies what we sign', async () => {
  const signer = requestSigner({ keyId: 'a "key" \\', key: { alg: 'hmac-sha256', key }, components: ['content-type'] })
  const keyLookup = async ({ keyid }: { keyid?: string }) =>
    keyid === 'a "key" \\' ? { id: keyid, algs: ['hmac-sha256'], verify: createVerifier(key, 'hmac-sha256') } : null
  await fc.assert(
    fc.asyncProperty(urls, fc.uint8Array(), async (url, body) => {
      const headers = { 'content-type': 'text/plain; charset="utf-8"' }
      const own = signer.sign({ method: 'post', url, headers, body })
      const request = { method: 'POST', url, headers: { ...headers, ...own } }
      const rules = { keyLookup, requiredFields: fields, requiredParams: params, tolerance: 5, notAfter: Date.now() }
      expect(await httpbis.verifyMessage(rules, request)).toBe(true)
      const tampered = { ...request, headers: { ...request.headers, 'content-type': 'text/html' } }
      expect(await httpbis.verifyMessage(rules, tampered)).toBe(false)
    }),
  )
})

test('we verify what it signs', async () => {
  const verifier = requestVerifier({ keys: () => ({ alg: 'hmac-sha256', key }), require: ['content-type'] })
  await fc.assert(
    fc.asyncProperty(urls, fc.uint8Array(), fc.uuid(), async (url, body, nonce) => {
      const headers = {
        'Content-Type': 'text/plain',
        'Content-Digest': `sha-256=:${hash('sha256', body, 'base64')}:`,
      }
      const signed = await httpbis.signMessage(
        {
          key: createSigner(key, 'hmac-sha256', 'theirs'),
          name: 'sig1',
          fields,
          params: [...params, 'expires'],
          paramValues: { nonce },
        },
        { method: 'PUT', url, headers },
      )
      expect(await verifier.verify({ ...signed, body })).toEqual({
        keyId: 'theirs',
        principal: null,
        scope: null,
        nonce,
      })
    }),
  )
})
