import { createPublicKey, hash, verify as verifyEd25519 } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { generateSecret, sign, type SigningScheme } from '../../src/index.ts'
import { publicKeysOf } from '../../src/signing/public-keys.ts'
import { remembered } from '../../src/signing/remembered.ts'

const body = Buffer.from('{"test": 2432232314}')
const message = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1614265330, body }
/** The vector of the Standard Webhooks libraries. */
const known = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const knownSignature = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='

test('signs as Standard Webhooks do', () => {
  expect(sign({ ...message, secrets: [known] })).toEqual({
    'webhook-id': message.id,
    'webhook-timestamp': '1614265330',
    'webhook-signature': knownSignature,
  })
})

test('every secret signs, in its order, and each scheme has its own headers', () => {
  const [second, pair] = [generateSecret(), generateSecret('v1a')]
  const secrets = [second, pair, known]
  const headers = sign({ ...message, secrets, schemes: ['v1', 'v1a', 'svix'] })
  const [one = '', two = '', three] = headers['webhook-signature']!.split(' ')
  expect(one).toMatch(/^v1,/)
  expect(two).toMatch(/^v1a,/)
  expect(three).toBe(knownSignature)
  expect(headers).toEqual({
    'webhook-id': message.id,
    'webhook-timestamp': '1614265330',
    'webhook-signature': `${one} ${two} ${three}`,
    'svix-id': message.id,
    'svix-timestamp': '1614265330',
    'svix-signature': `${one} ${three}`,
  })
  expect(sign({ ...message, secrets: [known, pair], schemes: ['v1a'] })['webhook-signature']).toBe(two)
})

test('a new secret is 32 random bytes, or a seed and its public key', () => {
  expect(Buffer.from(generateSecret().slice(6), 'base64')).toHaveLength(32)
  expect(generateSecret()).not.toBe(generateSecret('v1'))
  const pair = generateSecret('v1a')
  expect(pair).toMatch(/^whsk_/)
  const { keys, jwks } = publicKeysOf([known, pair])
  expect(keys).toEqual([`whpk_${Buffer.from(pair.slice(5), 'base64').subarray(32).toString('base64')}`])
  // A set that any JOSE library imports.
  const key = createPublicKey({ key: { ...jwks.keys[0]! }, format: 'jwk' })
  const [, signature = ''] = sign({ ...message, secrets: [pair], schemes: ['v1a'] })['webhook-signature']!.split(',')
  const signed = Buffer.concat([Buffer.from(`${message.id}.${message.timestamp}.`), body])
  expect(verifyEd25519(null, signed, key, Buffer.from(signature, 'base64'))).toBe(true)
  expect(jwks.keys).toEqual([
    {
      kty: 'OKP',
      crv: 'Ed25519',
      x: keys[0]!.slice(5).replace('=', '').replaceAll('+', '-').replaceAll('/', '_'),
      kid: expect.any(String),
      alg: 'EdDSA',
      use: 'sig',
    },
  ])
})

test('kid is the thumbprint of RFC 8037, A.3', () => {
  const seed = 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A'
  const x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'
  const pair = `whsk_${Buffer.concat([Buffer.from(seed, 'base64url'), Buffer.from(x, 'base64url')]).toString('base64')}`
  expect(publicKeysOf([pair]).jwks.keys[0]!.kid).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k')
})

const bytes = (n: number): string => Buffer.alloc(n, 7).toString('base64')

test.each([
  [42, '"secrets[0]" must be a string'],
  ['sesame-open', `"secrets[0]" must begin with 'whsec_'`],
  [`whsec_${bytes(24)} `, `"secrets[0]" must be base64, padded, behind 'whsec_'`],
  [`whsec_${bytes(25).replace('=', '')}`, `"secrets[0]" must be base64, padded, behind 'whsec_'`],
  [`whsec_${bytes(23)}`, '"secrets[0]" must hold 24 to 64 bytes (holds 23)'],
  [`whsec_${bytes(65)}`, '"secrets[0]" must hold 24 to 64 bytes (holds 65)'],
  [`whsk_${bytes(32)}`, '"secrets[0]" must hold 64 bytes (holds 32)'],
  [`whsk_${bytes(64)}`, '"secrets[0]" must be a seed and its own public key'],
  [`whpk_${bytes(32)}`, `"secrets[0]" must begin with 'whsec_'`],
])('refuses the secret %j and does not show it', (secret, told) => {
  const attempt = (): unknown => sign({ ...message, secrets: [secret as string] })
  expect(attempt).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: `sign: ${told}` }))
})

test('secrets of 24 and of 64 bytes sign', () => {
  for (const n of [24, 64])
    expect(sign({ ...message, secrets: [`whsec_${bytes(n)}`] })).toHaveProperty('webhook-signature')
})

test.each([
  [{ id: '' }, 'sign: "id" must be 1 to 128 of'],
  [{ id: 'x'.repeat(129) }, '"id"'],
  [{ id: 'a b' }, '"id"'],
  // Signed would be the same as of the id `order` at 1700000000, with the real timestamp in the body.
  [{ id: 'order.1700000000' }, '"id"'],
  [{ id: 'order.1700000000.2' }, '"id"'],
  [{ timestamp: 1.5 }, '"timestamp" must be whole seconds since 1970, at most 13 digits (got 1.5)'],
  [{ timestamp: -1 }, '"timestamp"'],
  [{ timestamp: 10_000_000_000_000 }, '"timestamp"'],
  [{ body: '{}' as unknown as Uint8Array }, '"body" must be a Uint8Array'],
  [{ secrets: [] }, '"secrets" must be an array of 1 to 20'],
  [{ secrets: known as unknown as string[] }, '"secrets" must be an array of 1 to 20'],
  [{ secrets: Array<string>(21).fill(known) }, '"secrets" must be an array of 1 to 20'],
  [{ schemes: [] }, '"schemes" must be an array with a scheme'],
  [{ schemes: ['github'] as SigningScheme[] }, `"schemes": 'github' is not in this release; there are v1, v1a, svix`],
  [{ schemes: ['stripe'] as SigningScheme[] }, 'not in this release'],
  [{ schemes: ['shopify'] as SigningScheme[] }, 'not in this release'],
  [{ schemes: ['v2' as SigningScheme] }, '"schemes" must be of v1, v1a, svix'],
  [{ schemes: ['v1a'] as SigningScheme[] }, '"secrets" must have a whsk_ for what "schemes" has'],
])('refuses %j', (wrong, told) => {
  const attempt = (): unknown => sign({ ...message, secrets: [known], ...wrong })
  expect(attempt).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(told) }))
})

test('ids with dots and digits that are no time are signed', () => {
  for (const id of ['order.12.shipped', 'a.b', '1700000000', '2026-01-01T00:00:00.000Z', 'a.12345678901234']) {
    expect(sign({ ...message, id, secrets: [known] })['webhook-id']).toBe(id)
  }
})

test('a kind of secret that nobody knows is refused', () => {
  expect(() => generateSecret('rsa' as 'v1')).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
  expect(() => publicKeysOf([known, 'whsk_sesame'])).toThrow(`"secrets[1]" must be base64, padded, behind 'whsk_'`)
})

test('keys of secrets are remembered within a bound, those in use the longest', () => {
  const loads: string[] = []
  const keyOf = remembered(2, (text) => {
    loads.push(text)
    return hash('sha256', text)
  })
  for (const text of ['a', 'b', 'a', 'c', 'a', 'b']) expect(keyOf(text)).toBe(hash('sha256', text))
  expect(loads).toEqual(['a', 'b', 'c', 'b'])
})

test('remembered() answers what load() answers, for any sequence', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5).map(String)), fc.integer({ min: 1, max: 4 }), (texts, max) => {
      const of = remembered(max, (text) => [text])
      for (const text of texts) expect(of(text)).toEqual([text])
    }),
  )
})
