/** Every code of a signed request's verification. */
import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import {
  requestSigner,
  requestVerifier,
  type RequestToVerify,
  type WebhookErrorCode,
} from '../../src/request-signing/index.ts'
import { inboxes } from '../verify/inboxes.ts'

const clock = virtualClock()
const seconds = Math.floor(clock.now() / 1000)
const key = { alg: 'hmac-sha256', key: 'hush' } as const
const signer = requestSigner({ keyId: 'k', key, clock })
const verifier = requestVerifier({ keys: (id) => (id === 'k' ? key : null), clock })
const url = 'https://api.example/a?b=c'
const fault = (code: string): unknown => expect.objectContaining({ name: 'WebhookError', code })

const COMPONENTS = '"@method" "@authority" "@path" "@query" "content-digest"'
const PARAMS = `;created=${seconds};nonce="n";keyid="k";alg="hmac-sha256"`
const DIGEST = 'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:'

/** Signed with the right key, whatever is signed: only the rules can refuse it. */
function handmade(
  o: {
    components?: string
    params?: string
    headers?: Record<string, string>
    input?: (text: string) => string
    label?: string
  } = {},
) {
  const { components = COMPONENTS, params = PARAMS, input = (text) => text, label = 'sig1' } = o
  const headers: Record<string, string> = { 'content-digest': DIGEST, ...o.headers }
  const values: Record<string, string> = {
    '@method': 'GET',
    '@authority': 'api.example',
    '@path': '/a',
    '@query': '?b=c',
    ...headers,
  }
  const lines = [...components.matchAll(/"([^"]+)"/g)].map(([, name]) => `"${name}": ${values[name!] ?? ''}`)
  const list = `(${components})${params}`
  const signature = createHmac('sha256', 'hush')
    .update([...lines, `"@signature-params": ${list}`].join('\n'))
    .digest('base64')
  return {
    method: 'GET',
    url,
    headers: { ...headers, 'signature-input': input(`${label}=${list}`), signature: `${label}=:${signature}:` },
  }
}

test('a hand-made signature is good', async () => {
  expect(await verifier.verify(handmade())).toEqual({ keyId: 'k', principal: null, scope: null, nonce: 'n' })
  const more = handmade({
    components: `"x-more" ${COMPONENTS}`,
    params: `${PARAMS};expires=${seconds};tag="t";other=?1`,
    headers: { 'x-more': 'm' },
  })
  expect(await verifier.verify(more)).toMatchObject({ keyId: 'k' })
})

test('signatures of others beside it are theirs', async () => {
  const { headers, ...request } = handmade()
  const beside = {
    ...headers,
    'signature-input': `proxy=("@status";req "x");created=1, ${headers['signature-input']}`,
    signature: `proxy=:AAAA:, ${headers.signature}`,
    'content-digest': DIGEST,
  }
  expect(await verifier.verify({ ...request, headers: beside })).toMatchObject({ keyId: 'k' })
})

test.each<[WebhookErrorCode, RequestToVerify]>([
  ['MISSING_HEADER', { method: 'GET', url, headers: {} }],
  ['MISSING_HEADER', { ...handmade(), headers: { ...handmade().headers, signature: undefined } }],
  ['MALFORMED_HEADER', handmade({ input: () => '' })],
  ['MALFORMED_HEADER', handmade({ input: (text) => `${text};` })],
  ['MALFORMED_HEADER', handmade({ input: (text) => `${text}, ${text}` })],
  ['MALFORMED_HEADER', handmade({ label: 'sig2' })],
  ['MALFORMED_HEADER', { ...handmade(), headers: { ...handmade().headers, signature: 'sig1=abc' } }],
  ['MALFORMED_HEADER', { ...handmade(), headers: { ...handmade().headers, signature: 'sig2=:AAAA:' } }],
  [
    'MALFORMED_HEADER',
    {
      ...handmade(),
      headers: { ...handmade().headers, 'signature-input': [handmade().headers['signature-input'], 'sig2=()'] },
    },
  ],
  ...['"@method"', '"@authority"', '"@path"', '"@query"', '"content-digest"'].map(
    (name): [WebhookErrorCode, RequestToVerify] => [
      'MISSING_COMPONENT',
      handmade({ components: COMPONENTS.replace(name, '').replaceAll(/^ | $|(?<= ) /g, '') }),
    ],
  ),
  ['MISSING_COMPONENT', handmade({ components: `${COMPONENTS} "x-gone"` })],
  ['MISSING_COMPONENT', { ...handmade(), headers: { ...handmade().headers, 'content-digest': undefined } }],
  ['MISSING_COMPONENT', { ...handmade(), url: '/a?b=c' }],
  // The right key has signed it, and what comes after the line break would be another component.
  ['MALFORMED_HEADER', handmade({ components: `${COMPONENTS} "x-id"`, headers: { 'x-id': 'a\n"x-role": admin' } })],
  ['MISSING_COMPONENT', { ...handmade(), url: 'api.example' }],
  ['MALFORMED_HEADER', handmade({ components: `${COMPONENTS} "@method"` })],
  ['MALFORMED_HEADER', handmade({ components: COMPONENTS.replace('"@query"', '"@query";req') })],
  ['MALFORMED_HEADER', handmade({ components: `${COMPONENTS} "@target-uri"` })],
  ['MALFORMED_HEADER', handmade({ components: `${COMPONENTS} "X-Upper"`, headers: { 'X-Upper': 'x' } })],
  ['MALFORMED_HEADER', { ...handmade(), headers: { ...handmade().headers, 'content-digest': [DIGEST, DIGEST] } }],
  ['MALFORMED_HEADER', handmade({ headers: { 'content-digest': 'sha-512=:AAAA:' } })],
  ['MALFORMED_HEADER', handmade({ headers: { 'content-digest': 'sha-256=47DE' } })],
  ['DIGEST_MISMATCH', handmade({ headers: { 'content-digest': 'sha-256=:AAAA:' } })],
  ['MALFORMED_HEADER', handmade({ params: PARAMS.replace(/;created=\d+/, '') })],
  ['MALFORMED_HEADER', handmade({ params: PARAMS.replace(/created=\d+/, 'created="now"') })],
  ['MALFORMED_HEADER', handmade({ params: PARAMS.replace(';nonce="n"', '') })],
  ['MALFORMED_HEADER', handmade({ params: PARAMS.replace('nonce="n"', 'nonce=""') })],
  ['MALFORMED_HEADER', handmade({ params: PARAMS.replace('nonce="n"', 'nonce=n') })],
  ['MALFORMED_HEADER', handmade({ params: PARAMS.replace('nonce="n"', `nonce="${'n'.repeat(129)}"`) })],
  ['MALFORMED_HEADER', handmade({ params: PARAMS.replace(';keyid="k"', '') })],
  ['MALFORMED_HEADER', handmade({ params: PARAMS.replace('keyid="k"', 'keyid=""') })],
  ['MALFORMED_HEADER', handmade({ params: PARAMS.replace(/;alg="[^"]+"/, '') })],
  ['MALFORMED_HEADER', handmade({ params: `${PARAMS};expires="soon"` })],
  ['NO_MATCH', handmade({ params: PARAMS.replace('hmac-sha256', 'ed25519') })],
  ['NO_MATCH', handmade({ params: PARAMS.replace('hmac-sha256', 'none') })],
  ['UNKNOWN_KEY', handmade({ params: PARAMS.replace('keyid="k"', 'keyid="other"') })],
  ['TOO_OLD', handmade({ params: PARAMS.replace(/\d+/, String(seconds - 301)) })],
  ['TOO_NEW', handmade({ params: PARAMS.replace(/\d+/, String(seconds + 301)) })],
  ['TOO_OLD', handmade({ params: PARAMS.replace(/\d+/, '-1') })],
  ['TOO_OLD', handmade({ params: `${PARAMS};expires=${seconds - 1}` })],
  ['BODY_NOT_RAW', { ...handmade(), body: {} as never }],
  ['INPUT_INVALID', { ...handmade(), headers: null as never }],
])('%s, %#', async (code, request) => {
  await expect(verifier.verify(request)).rejects.toThrow(fault(code))
})

test('a header that must be signed', async () => {
  const strict = requestVerifier({ keys: () => key, require: ['content-type', '@method'], clock })
  await expect(strict.verify(handmade())).rejects.toThrow(fault('MISSING_COMPONENT'))
  const typed = handmade({ components: `${COMPONENTS} "content-type"`, headers: { 'content-type': 'a' } })
  expect(await strict.verify(typed)).toMatchObject({ keyId: 'k' })
})

test('keys may come late, and what they throw comes out as it is', async () => {
  const late = requestVerifier({ keys: async () => ({ ...key, principal: 'acme' }), clock })
  expect(await late.verify(handmade())).toMatchObject({ principal: 'acme' })
  const gone = new Error('the database is away')
  const broken = requestVerifier({ keys: () => Promise.reject(gone), clock })
  await expect(broken.verify(handmade())).rejects.toBe(gone)
  const wrong = requestVerifier({ keys: () => ({ alg: 'ed25519', key: 'sesame' }) as never, clock })
  const attempt = wrong.verify(handmade())
  await expect(attempt).rejects.toThrow(fault('OPTION_INVALID'))
  await expect(attempt).rejects.not.toThrow(/sesame/)
})

test('only a key of the right bytes', async () => {
  const bytes = requestVerifier({ keys: () => ({ alg: 'hmac-sha256', key: Buffer.from('hush') }), clock })
  expect(await bytes.verify(handmade())).toMatchObject({ keyId: 'k' })
  const other = requestVerifier({ keys: () => ({ alg: 'hmac-sha256', key: 'hush ' }), clock })
  await expect(other.verify(handmade())).rejects.toThrow(fault('NO_MATCH'))
})

describe.each(Object.entries(inboxes))('nonces in %s', (_, open) => {
  test('one of many at once', async () => {
    await using opened = await open()
    const once = requestVerifier({ keys: () => key, nonces: opened.inbox, clock })
    const request = { method: 'GET', url, headers: signer.sign({ method: 'GET', url }) }
    const all = await Promise.allSettled(Array.from({ length: 5 }, () => once.verify(request)))
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const one of all) if (one.status === 'rejected') expect(one.reason).toEqual(fault('REPLAYED'))
    await expect(once.verify(request)).rejects.toThrow(fault('REPLAYED'))
    expect(await once.verify({ ...request, headers: signer.sign({ method: 'GET', url }) })).toMatchObject({
      keyId: 'k',
    })
  })
})

test.each<[string, object, string]>([
  ['a method', { method: 'GET /' }, '"method" must be a method of HTTP'],
  ['no method', { method: undefined }, '"method" must be a method of HTTP'],
  ['a relative URL', { url: '/a' }, '"url" must be absolute'],
  ['another scheme', { url: 'ftp://a/' }, '"url" must be absolute'],
  ['no headers', {}, '"headers" must have x-id, which "components" names'],
  ['two lines', { headers: { 'x-id': 'a\r\n"@path": /' } }, 'x-id must be one line of Latin-1'],
  ['beyond Latin-1', { headers: { 'x-id': '☃' } }, 'x-id must be one line of Latin-1'],
])('a signer refuses %s', (_, wrong, told) => {
  const signer = requestSigner({ keyId: 'k', key, components: ['x-id'] })
  const attempt = (): unknown => signer.sign({ method: 'GET', url, ...wrong })
  expect(attempt).toThrow(fault('INPUT_INVALID'))
  expect(attempt).toThrow(told)
})

test('a signer refuses a parsed body, and signs Latin-1 as HTTP carries it', async () => {
  const signer = requestSigner({ keyId: 'k', key, components: ['x-id'], clock })
  expect(() => signer.sign({ method: 'POST', url, body: {} as never })).toThrow(fault('BODY_NOT_RAW'))
  const headers = { 'x-id': 'é' }
  const request = { method: 'POST', url, headers: { ...headers, ...signer.sign({ method: 'POST', url, headers }) } }
  expect(await verifier.verify(request)).toMatchObject({ keyId: 'k' })
})

describe('options', () => {
  test.each<[object, string]>([
    [{ keyId: '' }, '"keyId" must be 1 to 128 printable characters of ASCII'],
    [{ keyId: 'é' }, '"keyId"'],
    [{ key: undefined }, `"key" must have alg 'hmac-sha256'`],
    [{ key: 'sesame' }, `"key" must have alg 'hmac-sha256'`],
    [{ key: { alg: 'ed25519', key: 'sesame' } }, `'ed25519' is not in this release`],
    [{ key: { alg: 'hmac-sha256', key: new Uint8Array(0) } }, '"key" must have a key'],
    [{ components: ['Date'] }, '"components" must be an array of header names in lower case, each once'],
    [{ components: ['date', 'date'] }, '"components"'],
    [{ components: ['signature'] }, '"components"'],
    [{ components: ['@target-uri'] }, '"components"'],
    [{ components: 'date' }, '"components"'],
    [{ nonce: 'x' }, 'unknown option "nonce"'],
  ])('of a signer: %j', (wrong, told) => {
    const create = (): unknown => requestSigner({ keyId: 'k', key, ...wrong })
    expect(create).toThrow(fault('OPTION_INVALID'))
    expect(create).toThrow(told)
    expect(create).not.toThrow(/sesame/)
  })

  test.each<[object, string]>([
    [{ keys: { k: key } }, '"keys" must be a function'],
    [{ keys: undefined }, '"keys" is required'],
    [{ nonces: {} }, '"nonces" must be an object with consume()'],
    [{ tolerance: -1 }, '"tolerance" must be a Duration'],
    [{ require: ['Date'] }, '"require" must be an array of header names in lower case, each once'],
    [{ inbox: 1 }, 'unknown option "inbox"'],
  ])('of a verifier: %j', (wrong, told) => {
    const create = (): unknown => requestVerifier({ keys: () => key, ...wrong })
    expect(create).toThrow(fault('OPTION_INVALID'))
    expect(create).toThrow(told)
  })
})
