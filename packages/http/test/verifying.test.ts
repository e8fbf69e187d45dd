import { PGlite } from '@electric-sql/pglite'
import { describe, expect, it, test } from 'vitest'
import { createHttp, HttpError, received, type Http, type HttpOptions, type RoutePolicy } from '@keelson/http'
import { createIdempotency, memoryStore, type Idempotency } from '@keelson/idempotency'
import { context } from '@keelson/kernel'
import { createWebhooks, generateSecret, memoryStore as memoryWebhooks, sign } from '@keelson/webhooks'
import { requestSigner, requestVerifier, type RequestVerifier } from '@keelson/webhooks/request-signing'
import { memoryInbox, standard, type Verifier } from '@keelson/webhooks/verify'
import { exchange, problemOf, type Given, type TestExchange } from './support.ts'

const secret = generateSecret()
const verifier = standard({ secrets: [secret] })
const idempotency = (): Idempotency => createIdempotency({ store: memoryStore() })
const notAsked = (): Promise<never> => Promise.reject(new Error('not asked'))
const all: HttpOptions = { idempotency: { run: notAsked }, scope: () => 'acme', db: new PGlite() }
const receive = { verifier, source: 'shop', scope: 'acme' }
const signed = { verifier: requestVerifier({ keys: () => null }) }

describe('a policy is refused when it is compiled', () => {
  it.each<[string, unknown, HttpOptions, RegExp]>([
    [
      'receive without a verifier',
      { receive: { ...receive, verifier: undefined } },
      all,
      /policy: receive: "verifier" is required/,
    ],
    [
      'a verifier of requests',
      { receive: { ...receive, verifier: signed.verifier } },
      all,
      /"verifier" must be a Verifier of/,
    ],
    ['a secret for a verifier', { receive: { ...receive, verifier: secret } }, all, /"verifier" must be a Verifier/],
    ['receive without a source', { receive: { verifier, scope: 'acme' } }, all, /"source" is required/],
    ['a source with a colon', { receive: { ...receive, source: 'a:b' } }, all, /"source" must be/],
    ['a long source', { receive: { ...receive, source: 'x'.repeat(65) } }, all, /"source" must be/],
    ['receive without a scope', { receive: { verifier, source: 'shop' } }, all, /"scope" is required/],
    ['an empty scope', { receive: { ...receive, scope: '' } }, all, /"scope" must be a scope of 1 to 128 bytes/],
    ['no time', { receive: { ...receive, retain: 0 } }, all, /"retain" must be/],
    ['another member', { receive: { ...receive, header: 'x' } }, all, /unknown option "header"/],
    ['receive that is true', { receive: true }, all, /"receive" must be an object/],
    ['receive without a core', { receive }, {}, /"receive" needs createHttp\(\{ idempotency \}\)/],
    ['receive with another key', { receive, idempotent: {} }, all, /"receive" has a key of its own/],
    [
      'receive with cached',
      { receive, cached: { ttl: 1, per: 'scope' } },
      all,
      /"cached" is for reads, "receive" for writes/,
    ],
    [
      'receive with transactional',
      { receive, transactional: true },
      all,
      /"receive" with "transactional" needs idempotency on/,
    ],
    ['signed without a verifier', { signed: {} }, all, /policy: signed: "verifier" is required/],
    ['a verifier without verify', { signed: { verifier: {} } }, all, /policy: signed: "verifier" must/],
    ['another member of signed', { signed: { ...signed, keys: {} } }, all, /unknown option "keys"/],
  ])('%s', (_, policy, options, message) => {
    expect(() => createHttp(options).compile(policy as RoutePolicy)).toThrow(HttpError)
    expect(() => createHttp(options).compile(policy as RoutePolicy)).toThrow(message)
  })
})

/** A delivery as a sender makes it. */
function delivery(id: string, body = '{}'): Given {
  const signature = sign({ id, timestamp: Math.floor(Date.now() / 1_000), body: Buffer.from(body), secrets: [secret] })
  return { headers: Object.entries(signature), body }
}

/** A request of key 'k1'. */
function signedRequest(given: Given = {}): Given {
  const { method = 'POST', path = '/orders', query = '', headers = [], body = '' } = given
  const signer = requestSigner({ keyId: 'k1', key: { alg: 'hmac-sha256', key: SECRET } })
  const url = `http://test${path}${query === '' ? '' : `?${query}`}`
  return { ...given, headers: [['Host', 'test'], ...headers, ...Object.entries(signer.sign({ method, url, body }))] }
}
const SECRET = 'a secret that is long enough'
const keyOf = (more: object = {}): RequestVerifier =>
  requestVerifier({ keys: () => ({ alg: 'hmac-sha256', key: SECRET, ...more }), nonces: memoryInbox() })

/** What a policy answers, and the request. */
async function ask(
  http: Http,
  policy: RoutePolicy,
  given: Given,
): Promise<{ x: TestExchange; code: unknown; status: unknown }> {
  const x = exchange(given)
  http.begin(x)
  const answer = await http.compile(policy).late(x)
  return { x, status: answer?.status, code: answer && problemOf(answer)['code'] }
}

test('ids of any alphabet and length are keys', async () => {
  const http = createHttp({ idempotency: idempotency() })
  const ids = ['ö', 'x'.repeat(5_000), 'a\u0000b', '\ud800', `${'x'.repeat(4_999)}y`]
  for (const id of [...ids, ...ids]) {
    const any: Verifier = { ...verifier, verify: (request) => ({ ...verifier.verify(request), dedupeKey: id }) }
    const { status, x } = await ask(http, { receive: { ...receive, verifier: any } }, delivery('1'))
    expect([id.slice(0, 9), status, x.isCaptured]).toEqual([id.slice(0, 9), undefined, true])
    await x.answered({ kind: 'abandoned' })
  }
})

test('the webhook is known to its handler alone', async () => {
  const http = createHttp({ idempotency: idempotency() })
  const route = http.compile({ receive })
  const x = exchange(delivery('evt_1', '{"a":1}'))
  http.begin(x)
  expect(await route.late(x)).toBeUndefined()
  const [inside, tenant] = context.run(route.context(x), () => [received(), context.get()?.tenant] as const)
  expect([inside?.id, inside?.json(), inside?.secret, tenant]).toEqual(['evt_1', { a: 1 }, 0, 'acme'])
  expect(received()).toBeUndefined()
  expect(context.run(http.compile({}).context(exchange()), received)).toBeUndefined()
})

test('what cannot be known is an error, and no 401: the handler does not run', async () => {
  const away = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  const http = createHttp({ idempotency: idempotency(), scope: () => 'acme' })
  const keys = requestVerifier({ keys: () => Promise.reject(away) })
  await expect(ask(http, { signed: { verifier: keys } }, signedRequest())).rejects.toBe(away)
  const broken: Verifier = {
    ...verifier,
    verify: () => {
      throw new TypeError('oops')
    },
  }
  await expect(ask(http, { receive: { ...receive, verifier: broken } }, delivery('1'))).rejects.toThrow('oops')
})

test('a process that is closed uses no nonce up', async () => {
  const nonces = memoryInbox()
  const policy = {
    signed: { verifier: requestVerifier({ keys: () => ({ alg: 'hmac-sha256', key: SECRET }), nonces }) },
  }
  const [closed, open] = [createHttp(), createHttp()]
  await closed.close()
  const given = signedRequest()
  expect((await ask(closed, policy, given)).code).toBe('closed')
  expect((await ask(open, policy, given)).status).toBeUndefined()
  expect((await ask(open, policy, given)).code).toBe('replayed')
})

test('one verifier at two places of a request asks once, another one again; all behind know who signed', async () => {
  const http = createHttp({ scope: () => 'of-the-host', principal: () => ({ id: 'ann' }) })
  const x = exchange(signedRequest())
  http.begin(x)
  const one = keyOf({ principal: 'eve', scope: 'acme' })
  for (const route of [http.compile({ signed: { verifier: one } }), http.compile({ signed: { verifier: one } })]) {
    expect(await route.late(x)).toBeUndefined()
  }
  const behind = http.compile({ deadline: '5s' }).context(x)
  expect([behind.tenant, behind.principal]).toEqual(['acme', { type: 'key', id: 'eve' }])
  const strict = requestVerifier({ keys: () => null })
  const refusal = await http.compile({ signed: { verifier: strict } }).late(x)
  expect([refusal?.status, problemOf(refusal!)['code']]).toEqual([401, 'unknown-key'])
})

test('a transactional route that nobody asked first verifies by itself', async () => {
  const http = createHttp({ db: new PGlite() })
  const x = exchange({ headers: [['Host', 'test']] })
  http.begin(x)
  const answer = await http.compile({ signed: { verifier: keyOf() }, transactional: true }).transact!(x, notAsked)
  expect([answer.status, problemOf(answer)['code']]).toEqual([401, 'missing-header'])
})

test('keys of createWebhooks() sign for their scope and principal, until they are revoked', async () => {
  const { signingKeys } = createWebhooks({ store: memoryWebhooks(), encryption: 'plaintext', storeTimeout: '10s' })
  const { keyId, secret: key } = await signingKeys.create({ scope: 'acme', principal: 'eve' })
  const signer = requestSigner({ keyId, key: { alg: 'hmac-sha256', key } })
  const http = createHttp()
  const policy = { signed: { verifier: requestVerifier({ keys: signingKeys.resolve, nonces: memoryInbox() }) } }
  const given = (): Given => ({
    query: 'a=1',
    headers: [['Host', 'test'], ...Object.entries(signer.sign({ method: 'POST', url: 'http://test/orders?a=1' }))],
  })
  const { x } = await ask(http, policy, given())
  const { tenant, principal } = http.compile(policy).context(x)
  expect([tenant, principal]).toEqual(['acme', { type: 'key', id: 'eve' }])
  await signingKeys.revoke({ scope: 'acme', keyId })
  expect((await ask(http, policy, given())).code).toBe('unknown-key')
})

test('over HTTP/2 the host is that of the request line', async () => {
  const headers = signedRequest().headers!.map(
    ([name, value]) => [name === 'Host' ? ':authority' : name, value] as const,
  )
  const { status } = await ask(createHttp(), { signed: { verifier: keyOf() } }, { headers })
  expect(status).toBeUndefined()
})
