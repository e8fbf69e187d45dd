/** Every code of a verification, and what a request may look like. */
import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { sign } from '../../src/index.ts'
import {
  anyOf,
  github,
  httpSignature,
  shopify,
  standard,
  stripe,
  type Verifier,
  type VerifyInput,
} from '../../src/verify/index.ts'
import { clock, publicKey, schemes, SECONDS, secrets, type Sample } from './samples.ts'

const body = Buffer.from('{"type":"shipment.created","id":"evt_1","data":{}}')
const { verifier, sample } = schemes['standard v1']!
const good = sample(body)
const fault = (code: string): unknown => expect.objectContaining({ name: 'WebhookError', code })
const withHeader = (name: string, value: unknown): VerifyInput => ({
  ...good,
  headers: { ...good.headers, [name]: value as string },
})
const signedAt = (timestamp: number): VerifyInput => ({
  body,
  headers: sign({ id: 'msg_1', timestamp, body, secrets: [secrets.current] }),
})

describe.each(Object.entries(schemes))('%s', (_, { verifier, sample, header }) => {
  const good = sample(body)
  const names = Object.keys(good.headers)

  test('a header that is missing', () => {
    for (const name of names) {
      const { [name]: _, ...headers } = good.headers
      expect(() => verifier.verify({ body, headers }), name).toThrow(fault('MISSING_HEADER'))
      expect(() => verifier.verify({ body, headers: { ...headers, [name]: undefined } })).toThrow(
        fault('MISSING_HEADER'),
      )
      expect(() => verifier.verify({ body, headers: { ...headers, [name]: [] } })).toThrow(fault('MISSING_HEADER'))
    }
  })

  test('a header that is empty, came twice, or is no text', () => {
    for (const name of names) {
      const value = good.headers[name]!
      const { [name]: _, ...headers } = good.headers
      const twice = new Headers(good.headers)
      twice.append(name, value)
      const wrong: Sample['headers'][] = [
        '',
        ` ${value}`,
        `${value} `,
        `${value}, ${value}`,
        `${value}\n`,
        'x'.repeat(10_000),
      ].map((text) => ({ ...headers, [name]: text }))
      const repeated = [{ ...headers, [name]: [value, value] }, { ...good.headers, [name.toUpperCase()]: value }, twice]
      const noText = { ...headers, [name]: 1 as unknown as string }
      for (const headers of [...wrong, ...repeated, noText]) {
        expect(() => verifier.verify({ body, headers }), JSON.stringify(headers)).toThrow(fault('MALFORMED_HEADER'))
      }
    }
  })

  test('a body that is no bytes', () => {
    for (const body of [{}, [], null, undefined, 1, new ArrayBuffer(2)]) {
      expect(() => verifier.verify({ ...good, body: body as Uint8Array })).toThrow(fault('BODY_NOT_RAW'))
    }
  })

  test('another secret', () => {
    const other = anyOther(verifier.scheme)
    expect(() => other.verify(good)).toThrow(fault('NO_MATCH'))
  })

  test('headers in any case, and of any kind', () => {
    const upper = Object.fromEntries(Object.entries(good.headers).map(([name, value]) => [name.toUpperCase(), [value]]))
    for (const headers of [upper, new Headers(good.headers)]) expect(verifier.verify({ body, headers }).body).toBe(body)
    expect(verifier.verify({ ...good, body: body.toString() }).body).toEqual(body)
    for (const headers of [null, undefined, 'x', []]) {
      expect(() => verifier.verify({ body, headers: headers as unknown as Headers })).toThrow(fault('INPUT_INVALID'))
    }
    expect(verifier.signatureHeaders).toEqual([header])
  })
})

function anyOther(scheme: string): Verifier {
  const secret = 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
  switch (scheme) {
    case 'github':
      return github({ secrets: [secret] })
    case 'shopify':
      return shopify({ secrets: [secret] })
    case 'stripe':
      return stripe({ secrets: [secret], clock })
    default: {
      const standards = (['webhook', 'svix'] as const).map((prefix) => standard({ secrets: [secret], prefix, clock }))
      return anyOf(...standards)
    }
  }
}

describe('timestamps', () => {
  test.each(['', '-1', '+1', '1.5', '1e9', '0x10', ' 1', '１', `${SECONDS}0000`, 'NaN'])('%j is none', (text) => {
    expect(() => verifier.verify(withHeader('webhook-timestamp', text))).toThrow(fault('MALFORMED_HEADER'))
    const header = { 'stripe-signature': `t=${text},v1=00` }
    expect(() => schemes['stripe']!.verifier.verify({ body, headers: header })).toThrow(fault('MALFORMED_HEADER'))
  })

  test('five minutes by default, to the second, as the libraries of senders have it', () => {
    for (const offset of [-300, 300]) expect(verifier.verify(signedAt(SECONDS + offset)).id).toBe('msg_1')
    expect(() => verifier.verify(signedAt(SECONDS - 301))).toThrow(fault('TOO_OLD'))
    expect(() => verifier.verify(signedAt(SECONDS + 301))).toThrow(fault('TOO_NEW'))
    expect(() => verifier.verify(signedAt(0))).toThrow(fault('TOO_OLD'))
    expect(() => verifier.verify(signedAt(9_999_999_999_999))).toThrow(fault('TOO_NEW'))
  })

  test('another tolerance', () => {
    const hour = standard({ secrets: [secrets.current], tolerance: '1h', clock })
    expect(hour.verify(signedAt(SECONDS - 3600)).timestamp).toEqual(new Date((SECONDS - 3600) * 1000))
    expect(() => hour.verify(signedAt(SECONDS - 3601))).toThrow(fault('TOO_OLD'))
    const mac = (t: number): string => createHmac('sha256', 'x').update(`${t}.`).update(body).digest('hex')
    const stripeAt = (t: number): VerifyInput => ({ body, headers: { 'stripe-signature': `t=${t},v1=${mac(t)}` } })
    const ten = stripe({ secrets: ['x'], tolerance: '10s', clock })
    expect(ten.verify(stripeAt(SECONDS - 10)).secret).toBe(0)
    expect(() => ten.verify(stripeAt(SECONDS - 11))).toThrow(fault('TOO_OLD'))
    expect(() => ten.verify(stripeAt(SECONDS + 11))).toThrow(fault('TOO_NEW'))
  })
})

describe('signatures', () => {
  const [, text = ''] = good.headers['webhook-signature']!.split(',')

  test('the old secret still verifies, by its index; one that was removed does not', () => {
    const old = { body, headers: sign({ id: 'msg_1', timestamp: SECONDS, body, secrets: [secrets.old] }) }
    expect(verifier.verify(good).secret).toBe(0)
    expect(verifier.verify(old).secret).toBe(1)
    expect(() => standard({ secrets: [secrets.current], clock }).verify(old)).toThrow(fault('NO_MATCH'))
    const both = {
      body,
      headers: sign({ id: 'msg_1', timestamp: SECONDS, body, secrets: [secrets.old, secrets.current] }),
    }
    expect(standard({ secrets: [secrets.current], clock }).verify(both).secret).toBe(0)
  })

  test('versions that nobody knows yet are passed over', () => {
    expect(verifier.verify(withHeader('webhook-signature', `v9,abc v1,${text} v1a,AAAA`)).id).toBe('msg_1')
    expect(() => verifier.verify(withHeader('webhook-signature', `v2,${text}`))).toThrow(fault('NO_MATCH'))
    const v0 = schemes['stripe']!.sample(body).headers['stripe-signature']!.replace('v1=', 'v0=')
    expect(() => schemes['stripe']!.verifier.verify({ body, headers: { 'stripe-signature': v0 } })).toThrow(
      fault('NO_MATCH'),
    )
  })

  test('at most twenty are looked at', () => {
    const wrong = `v1,${'A'.repeat(43)}=`
    const of = (n: number): string => [...Array<string>(n - 1).fill(wrong), `v1,${text}`].join(' ')
    expect(verifier.verify(withHeader('webhook-signature', of(20))).id).toBe('msg_1')
    expect(() => verifier.verify(withHeader('webhook-signature', of(21)))).toThrow(fault('MALFORMED_HEADER'))

    const [t, v1] = schemes['stripe']!.sample(body).headers['stripe-signature']!.split(',')
    const many = (n: number): VerifyInput => ({
      body,
      headers: { 'stripe-signature': [t, ...Array<string>(n - 1).fill(`v1=${'0'.repeat(64)}`), v1].join(',') },
    })
    expect(schemes['stripe']!.verifier.verify(many(20)).secret).toBe(0)
    expect(() => schemes['stripe']!.verifier.verify(many(21))).toThrow(fault('MALFORMED_HEADER'))
  })

  test('a signature has one text', () => {
    // The same bytes in base64 without padding, in its other alphabet, with bits that no byte has; and hex in capitals.
    const same = [
      text.replace('=', ''),
      `${text}=`,
      text.replaceAll('+', '-').replaceAll('/', '_'),
      `${text.slice(0, -2)}${next(text.at(-2)!)}=`,
    ]
    for (const other of same.filter((other) => other !== text)) {
      expect(Buffer.from(other, 'base64')).toEqual(Buffer.from(text, 'base64'))
      expect(() => verifier.verify(withHeader('webhook-signature', `v1,${other}`)), other).toThrow(fault('NO_MATCH'))
    }
    const pair = schemes['standard v1a']!
    const headers = pair.sample(body).headers
    for (const change of [(s: string) => s.replace('==', ''), (s: string) => `${s.slice(0, -3)}${next(s.at(-3)!)}==`]) {
      const changed = { ...headers, 'webhook-signature': change(headers['webhook-signature']!) }
      expect(() => pair.verifier.verify({ body, headers: changed })).toThrow(fault('NO_MATCH'))
    }
    const hub = schemes['github']!.sample(body).headers['x-hub-signature-256']!
    const capitals = `sha256=${hub.slice(7).toUpperCase()}`
    expect(() => schemes['github']!.verifier.verify({ body, headers: { 'x-hub-signature-256': capitals } })).toThrow(
      fault('MALFORMED_HEADER'),
    )
  })

  test('one of a public key does not pass for one of a secret', () => {
    const { headers } = schemes['standard v1a']!.sample(body)
    const asShared = { ...headers, 'webhook-signature': headers['webhook-signature']!.replace('v1a,', 'v1,') }
    expect(() => schemes['standard v1a']!.verifier.verify({ body, headers: asShared })).toThrow(fault('NO_MATCH'))
  })

  test.each([
    't=1',
    'v1=00',
    `t=1,t=${SECONDS},v1=00`,
    `t=${SECONDS}, v1=00`,
    `t=${SECONDS},v1`,
    `t=${SECONDS},,v1=00`,
    `T=${SECONDS}`,
  ])('stripe: %j', (text) => {
    const attempt = (): unknown => schemes['stripe']!.verifier.verify({ body, headers: { 'stripe-signature': text } })
    expect(attempt).toThrow(text === 't=1' ? fault('TOO_OLD') : fault('MALFORMED_HEADER'))
  })
})

/** The next digit of base64: it differs in bits that the padding leaves out. */
function next(digit: string): string {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  return digits[digits.indexOf(digit) ^ 1]!
}

describe('what a message says of itself', () => {
  test('standard: id and time of the headers, type of the body', () => {
    const event = verifier.verify(good)
    expect(event).toMatchObject({
      id: 'msg_1',
      timestamp: new Date(SECONDS * 1000),
      type: 'shipment.created',
      body,
      secret: 0,
      dedupeKey: 'msg_1',
    })
    expect(event.json()).toEqual(JSON.parse(body.toString()))
    expect(event.json()).toBe(event.json())
  })

  test('github and shopify: id and type of headers, or none; then the body is the key', () => {
    const { verifier, sample } = schemes['github']!
    const named = { 'X-GitHub-Delivery': '72d3162e', 'x-github-event': 'push' }
    expect(verifier.verify({ body, headers: { ...sample(body).headers, ...named } })).toMatchObject({
      id: '72d3162e',
      type: 'push',
      timestamp: null,
      dedupeKey: '72d3162e',
    })
    expect(verifier.verify(sample(Buffer.from('{}')))).toMatchObject({
      id: null,
      type: null,
      dedupeKey: '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
    })
    const shop = {
      ...schemes['shopify']!.sample(body).headers,
      'X-Shopify-Webhook-Id': 'b1',
      'X-Shopify-Topic': 'orders/create',
    }
    expect(schemes['shopify']!.verifier.verify({ body, headers: shop })).toMatchObject({
      id: 'b1',
      type: 'orders/create',
    })
    for (const id of ['', 'a b', 'a,b', 'x'.repeat(256), '\u0000']) {
      const headers = { ...sample(body).headers, 'x-github-delivery': id }
      expect(() => verifier.verify({ body, headers })).toThrow(fault('MALFORMED_HEADER'))
    }
  })

  test('stripe: id and type of the event, which is signed', () => {
    const { verifier, sample } = schemes['stripe']!
    expect(verifier.verify(sample(body))).toMatchObject({
      id: 'evt_1',
      type: 'shipment.created',
      dedupeKey: 'evt_1',
      timestamp: new Date(SECONDS * 1000),
    })
    for (const text of ['null', '1', '[]', '{"id":1,"type":""}', 'no json']) {
      expect(verifier.verify(sample(Buffer.from(text))), text).toMatchObject({
        id: null,
        type: null,
        dedupeKey: expect.stringMatching(/^[0-9a-f]{64}$/),
      })
    }
  })

  test('a body that is no JSON is good until somebody parses it', () => {
    for (const bytes of [Buffer.from('no json'), Buffer.from([0x22, 0xff, 0x22]), Buffer.alloc(0)]) {
      const event = verifier.verify(sample(bytes))
      expect(event.id).toBe('msg_1')
      expect(() => event.json()).toThrow(fault('PAYLOAD_NOT_JSON'))
      expect(event.type).toBeNull()
    }
  })
})

describe('anyOf', () => {
  const both = anyOf(schemes['svix']!.verifier, verifier)

  test('the first whose signature header is there decides', () => {
    expect(both.verify(good).id).toBe('msg_1')
    expect(both.verify(schemes['svix']!.sample(body)).id).toBe('msg_1')
    // A bad one is not made good by another beside it.
    const svix = { ...schemes['svix']!.sample(Buffer.from('other')).headers }
    expect(() => both.verify({ body, headers: { ...good.headers, ...svix } })).toThrow(fault('NO_MATCH'))
    expect(() => both.verify({ body, headers: {} })).toThrow(fault('MISSING_HEADER'))
  })

  test('its scheme is that of its verifiers', () => {
    expect(both.scheme).toBe('standard')
    const three = anyOf(both, github({ secrets: ['x'] }), both)
    expect(three.scheme).toBe('standard|github')
    expect(three.signatureHeaders).toEqual(['svix-signature', 'webhook-signature', 'x-hub-signature-256'])
  })

  test('takes verifiers', () => {
    expect(() => anyOf()).toThrow(fault('OPTION_INVALID'))
    for (const wrong of [undefined, null, {}, { verify() {} }]) {
      expect(() => anyOf(verifier, wrong as never)).toThrow('anyOf: argument 1 must be a verifier')
    }
  })
})

describe('options', () => {
  const { current } = secrets
  test.each<[string, () => unknown, string]>([
    ['none', () => standard({}), '"secrets" or "publicKeys" is required'],
    ['no secret', () => standard({ secrets: [] }), '"secrets" must be an array of 1 to 20'],
    [
      '21 secrets',
      () => standard({ secrets: Array<string>(21).fill(current) }),
      '"secrets" must be an array of 1 to 20',
    ],
    [
      'a bare secret',
      () => standard({ secrets: current as unknown as string[] }),
      '"secrets" must be an array of 1 to 20',
    ],
    [
      'a short one',
      () => standard({ secrets: [current, 'whsec_AAAA'] }),
      '"secrets[1]" must hold 24 to 64 bytes (holds 3)',
    ],
    ['a private key', () => standard({ secrets: [secrets.pair] }), `"secrets[0]" must begin with 'whsec_'`],
    ['a public key', () => standard({ secrets: [publicKey] }), `"secrets[0]" must begin with 'whsec_'`],
    ['a secret as public key', () => standard({ publicKeys: [current] }), `"publicKeys[0]" must begin with 'whpk_'`],
    [
      'half a public key',
      () => standard({ publicKeys: ['whpk_AAAA'] }),
      '"publicKeys[0]" must hold 32 bytes (holds 3)',
    ],
    [
      'a prefix',
      () => standard({ secrets: [current], prefix: 'hook' as 'svix' }),
      `"prefix" must be 'webhook' or 'svix' (got 'hook')`,
    ],
    [
      'a tolerance',
      () => standard({ secrets: [current], tolerance: '5 min' as '5m' }),
      '"tolerance" must be a Duration',
    ],
    [
      'a typing error',
      () => standard({ secret: [current] } as object),
      'unknown option "secret"; did you mean "secrets"?',
    ],
    ['github: none', () => github({} as { secrets: string[] }), '"secrets" must be an array of 1 to 20'],
    ['github: empty', () => github({ secrets: [''] }), '"secrets[0]" must be a string that is not empty'],
    [
      'shopify: a number',
      () => shopify({ secrets: [1 as unknown as string] }),
      '"secrets[0]" must be a string that is not empty',
    ],
    [
      'stripe: unknown',
      () => stripe({ secrets: ['x'], prefix: 'svix' } as { secrets: string[] }),
      'unknown option "prefix"',
    ],
    ['httpSignature: no keys', () => httpSignature({ keys: {} }), '"keys" must be an object of 1 to 20'],
    [
      'httpSignature: another alg',
      () => httpSignature({ keys: { a: { alg: 'ed25519', key: 'x' } as never } }),
      `"keys.a" must have alg 'hmac-sha256': 'ed25519' is not in this release`,
    ],
    [
      'httpSignature: no key',
      () => httpSignature({ keys: { a: { alg: 'hmac-sha256', key: '' } } }),
      '"keys.a" must have a key',
    ],
    [
      'httpSignature: require',
      () => httpSignature({ keys: { a: { alg: 'hmac-sha256', key: 'x' } }, require: ['Content-Type'] }),
      '"require" must be an array of header names in lower case',
    ],
  ])('%s', (_, create, told) => {
    expect(create).toThrow(fault('OPTION_INVALID'))
    expect(create).toThrow(told)
  })

  test('no error shows a secret', () => {
    const wrong = ['whsec_c2VzYW1lLW9wZW4', 'sesame-open', 'whsk_c2VzYW1lLW9wZW4']
    for (const secret of wrong) {
      const attempts = [
        () => standard({ secrets: [secret] }),
        () => standard({ secrets: secret as unknown as string[] }),
        () => github({ secrets: secret as unknown as string[] }),
        () => httpSignature({ keys: secret as never }),
        () => httpSignature({ keys: { a: secret as never } }),
        () => sign({ id: 'a', timestamp: 0, body, secrets: [secret] }),
      ]
      for (const attempt of attempts) expect(told(attempt)).not.toMatch(/sesame|c2Vz/)
    }
  })
})

function told(attempt: () => unknown): string {
  try {
    attempt()
  } catch (error) {
    return JSON.stringify(error) + String(error)
  }
  throw new Error('it was accepted')
}
