import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createHttp, type FetchHandler } from '@keelson/http'
import { webhooksApi, type WebhooksApiOptions } from '@keelson/http/apis'
import { createWebhooks, memoryStore, WebhookError, type Webhooks, type WebhookStore } from '@keelson/webhooks'
import { startReceiver, type Receiver } from '@keelson/webhooks/testing'
import { recordingLogger } from '../support.ts'
import { call, type Answer } from './call.ts'

const TENANT = 'x-tenant'
let receiver: Receiver
let webhooks: Webhooks
let store: WebhookStore
let logger: ReturnType<typeof recordingLogger>
let api: FetchHandler

beforeAll(async () => void (receiver = await startReceiver()))
afterAll(() => receiver.close())
beforeEach(() => {
  store = memoryStore()
  webhooks = createWebhooks({
    store,
    encryption: 'plaintext',
    network: { allow: ['127.0.0.0/8'], httpsOnly: false },
    endpoint: { retry: { schedule: [0] } },
    maxEndpointsPerScope: 5,
    storeTimeout: '30s',
  })
  logger = recordingLogger()
  api = apiWith()
})

function apiWith(more: Partial<WebhooksApiOptions> = {}): FetchHandler {
  return webhooksApi({
    http: createHttp({ logger }),
    webhooks,
    scope: (request) => request.headers.get(TENANT) ?? 'acme',
    authorize: 'public',
    ...more,
  })
}

function ask(method: string, path: string, body?: unknown, tenant = 'acme'): Promise<Answer> {
  return call(api, path, {
    method,
    headers: { [TENANT]: tenant, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
}

const url = 'https://acme.example/hook'
const made = async (more: object = {}, tenant = 'acme'): Promise<string> =>
  (await ask('POST', '/endpoints', { url, ...more }, tenant)).body.id as string
const refused = ({ status, body }: Answer): unknown[] => [status, body.code]

/** One event that the receiver refuses, and so a delivery that is dead. */
async function dead(): Promise<{ endpoint: string; event: string; delivery: string }> {
  const endpoint = await made({ url: receiver.url })
  const { id: event } = await webhooks.send('order.made', { id: 7 }, { scope: 'acme' })
  receiver.answer({ status: 500 })
  await webhooks.runOnce()
  const listed = await ask('GET', '/deliveries')
  expect([listed.status, listed.body.items?.length], listed.text).toEqual([200, 1])
  return { endpoint, event, delivery: listed.body.items[0].id }
}

describe('endpoints', () => {
  test('are made with a secret that is told this once, read, changed and deleted', async () => {
    const created = await ask('POST', '/endpoints', { url, types: ['order.*'], timeout: '5s', metadata: { team: 'a' } })
    expect(created.status).toBe(201)
    expect(created.headers.get('cache-control')).toBe('no-store')
    const { id, secret, ...endpoint } = created.body
    expect(secret).toMatch(/^whsec_/)
    expect(endpoint).toMatchObject({
      scope: 'acme',
      url,
      types: ['order.*'],
      timeout: 5_000,
      revision: 1,
      state: 'active',
    })

    const read = await ask('GET', `/endpoints/${id}`)
    expect([read.status, read.body]).toEqual([200, { id, ...endpoint }])
    const changed = await ask('PATCH', `/endpoints/${id}`, { revision: 1, types: ['**'] })
    expect(changed.body).toMatchObject({ id, types: ['**'], timeout: 5_000, revision: 2 })
    const conflict = await ask('PATCH', `/endpoints/${id}`, { revision: 1, types: ['a'] })
    expect(refused(conflict)).toEqual([409, 'revision-conflict'])
    expect(conflict.body).toMatchObject({ revision: 2, retryable: false })
    expect((await ask('PATCH', `/endpoints/${id}`, { description: 'mine' })).body.revision).toBe(3)

    const gone = await ask('DELETE', `/endpoints/${id}`)
    expect([gone.status, gone.text]).toEqual([204, ''])
    expect(refused(await ask('GET', `/endpoints/${id}`))).toEqual([404, 'not-found'])
  })

  test('are paused, resumed, disabled with a reason, enabled', async () => {
    const id = await made()
    const state = async (verb: string, body?: object): Promise<unknown[]> => {
      const { status, body: answer } = await ask('POST', `/endpoints/${id}/${verb}`, body)
      return [status, answer.state, answer.disabledReason]
    }
    expect(await state('pause')).toEqual([200, 'paused', null])
    expect(await state('resume')).toEqual([200, 'active', null])
    expect(await state('disable', { reason: 'too loud' })).toEqual([200, 'disabled', 'too loud'])
    expect(await state('enable', {})).toEqual([200, 'active', null])
    expect(await state('disable')).toEqual([200, 'disabled', 'manual'])
  })

  test('have secrets: rotated with an overlap, told, and as public keys', async () => {
    const id = await made()
    const rotated = await ask('POST', `/endpoints/${id}/rotate-secret`, { overlap: '1h' })
    expect(rotated.status).toBe(200)
    expect(new Date(rotated.body.previousUntil).getTime()).toBeGreaterThan(Date.now())
    const { items } = (await ask('GET', `/endpoints/${id}/secrets`)).body
    expect(items.map(({ until }: { until: string | null }) => until)).toEqual([null, rotated.body.previousUntil])
    expect(items[0].secret).toBe(rotated.body.secret)
    const signing = await made({ signing: ['v1a'] })
    const { keys, jwks } = (await ask('GET', `/endpoints/${signing}/public-keys`)).body
    expect([keys[0], jwks.keys.length]).toEqual([expect.stringMatching(/^whpk_/), 1])
  })

  test('are pinged, and the ping arrives there alone', async () => {
    const id = await made({ url: receiver.url })
    const { status, body } = await ask('POST', `/endpoints/${id}/ping`)
    expect([status, body]).toEqual([202, { id: expect.any(String) }])
    receiver.answer({ status: 204 })
    await webhooks.runOnce()
    const { items } = (await ask('GET', `/deliveries?event=${body.id}`)).body
    expect(items).toMatchObject([{ endpoint: id, type: 'webhooks.ping', status: 'succeeded' }])
  })

  test('are listed by pages', async () => {
    const ids = []
    for (let i = 0; i < 5; i++) ids.push(await made())
    const seen = []
    let next: string | null = ''
    let pages = 0
    while (next !== null) {
      const page: any = (await ask('GET', `/endpoints?limit=2${next === '' ? '' : `&after=${next}`}`)).body
      seen.push(...page.items.map(({ id }: { id: string }) => id))
      next = page.next
      pages++
    }
    expect([seen.toSorted(), pages]).toEqual([ids.toSorted(), 3])
  })

  test('are limited in number', async () => {
    for (let i = 0; i < 5; i++) await made()
    expect(refused(await ask('POST', '/endpoints', { url }))).toEqual([429, 'limit-reached'])
  })
})

describe('deliveries', () => {
  test('are found by what is asked, with their attempts and their event', async () => {
    const { endpoint, event, delivery } = await dead()
    const found = async (query: string): Promise<number> => (await ask('GET', `/deliveries?${query}`)).body.items.length
    const now = Date.now()
    const iso = (ms: number): string => encodeURIComponent(new Date(ms).toISOString())
    expect([
      await found(`endpoint=${endpoint}&event=${event}&type=order.made&status=dead`),
      await found('status=succeeded'),
      await found('type=order.paid'),
      await found(`from=${iso(now - 60_000)}&to=${iso(now + 60_000)}`),
      await found(`from=${iso(now + 60_000)}`),
      await found('from=2020-01-01&to=2020-01-02'),
    ]).toEqual([1, 0, 0, 1, 0, 0])
    expect((await ask('GET', `/deliveries/${delivery}`)).body).toMatchObject({
      id: delivery,
      event,
      reason: 'exhausted',
    })
    const { items, next } = (await ask('GET', `/deliveries/${delivery}/attempts?limit=1`)).body
    expect([items, next]).toEqual([[expect.objectContaining({ number: 1, outcome: 'status', status: 500 })], null])
    expect((await ask('GET', `/events/${event}`)).body).toMatchObject({
      id: event,
      data: { id: 7 },
      deliveries: [{ id: delivery }],
    })
  })

  test('are retried, and cancelled: one, or all of an endpoint', async () => {
    const { endpoint, delivery } = await dead()
    expect((await ask('POST', `/deliveries/${delivery}/retry`)).body).toMatchObject({ status: 'pending' })
    expect((await ask('POST', `/deliveries/${delivery}/cancel`)).body).toEqual({ cancelled: 1 })
    expect((await ask('POST', `/deliveries/${delivery}/cancel`)).body).toEqual({ cancelled: 0 })
    await ask('POST', `/deliveries/${delivery}/retry`)
    expect((await ask('POST', `/endpoints/${endpoint}/cancel`)).body).toEqual({ cancelled: 1 })
  })

  test('are redriven', async () => {
    await dead()
    const { status, body } = await ask('POST', '/redrives', { status: 'dead', from: '2020-01-01', perSecond: 100 })
    expect([status, body]).toEqual([202, { id: expect.any(String) }])
    receiver.answer({ status: 204 })
    await webhooks.runOnce()
    expect((await ask('GET', `/redrives/${body.id}`)).body).toMatchObject({ moved: 1 })
    expect((await ask('GET', '/deliveries')).body.items[0].status).toBe('succeeded')
  })
})

test('signing keys are issued with a secret that is told this once, listed, rotated, revoked', async () => {
  const made = await ask('POST', '/signing-keys', { principal: 'ann', expiresIn: '30d' })
  expect([made.status, made.body]).toEqual([201, { keyId: expect.any(String), secret: expect.any(String) }])
  await ask('POST', '/signing-keys', { principal: 'bob' })
  const listed = await ask('GET', '/signing-keys?principal=ann')
  expect(listed.body.items).toMatchObject([{ keyId: made.body.keyId, principal: 'ann', expiresAt: expect.any(String) }])
  expect(listed.text).not.toContain(made.body.secret)
  const rotated = await ask('POST', `/signing-keys/${made.body.keyId}/rotate`, { overlap: 0 })
  expect(rotated.body.keyId).not.toBe(made.body.keyId)
  expect(await webhooks.signingKeys.resolve(made.body.keyId)).toBeNull()
  expect((await ask('DELETE', `/signing-keys/${rotated.body.keyId}`)).status).toBe(204)
  expect(await webhooks.signingKeys.resolve(rotated.body.keyId)).toBeNull()
})

describe('what belongs to another scope', () => {
  test('is not there, whatever is asked of it', async () => {
    const { endpoint, event, delivery } = await dead()
    const redrive = (await ask('POST', '/redrives', {})).body.id as string
    const key = (await ask('POST', '/signing-keys', { principal: 'ann' })).body.keyId as string
    const asked: [string, string, unknown?][] = [
      ['GET', `/endpoints/${endpoint}`],
      ['PATCH', `/endpoints/${endpoint}`, { types: ['a'] }],
      ['DELETE', `/endpoints/${endpoint}`],
      ...['pause', 'resume', 'enable', 'disable', 'ping', 'rotate-secret', 'cancel'].map((verb): [string, string] => [
        'POST',
        `/endpoints/${endpoint}/${verb}`,
      ]),
      ['GET', `/endpoints/${endpoint}/secrets`],
      ['GET', `/endpoints/${endpoint}/public-keys`],
      ['GET', `/deliveries/${delivery}`],
      ['GET', `/deliveries/${delivery}/attempts`],
      ['POST', `/deliveries/${delivery}/retry`],
      ['POST', `/deliveries/${delivery}/cancel`],
      ['GET', `/redrives/${redrive}`],
      ['GET', `/events/${event}`],
      ['DELETE', `/signing-keys/${key}`],
      ['POST', `/signing-keys/${key}/rotate`],
    ]
    for (const [method, path, body] of asked) {
      const answer = await ask(method, path, body, 'rival')
      expect([method, path, ...refused(answer)]).toEqual([method, path, 404, 'not-found'])
    }
    for (const list of ['/endpoints', '/deliveries', '/signing-keys']) {
      expect((await ask('GET', list, undefined, 'rival')).body.items).toEqual([])
    }
    // All of it is as it was.
    expect((await ask('GET', `/endpoints/${endpoint}`)).body).toMatchObject({ state: 'active', revision: 1 })
    expect(await webhooks.signingKeys.resolve(key)).not.toBeNull()
  })

  test('cannot be named in a body', async () => {
    const id = await made({}, 'rival')
    for (const body of [
      { url, scope: 'rival' },
      { url, id },
    ]) {
      expect(refused(await ask('POST', '/endpoints', body))).toEqual([400, 'input-invalid'])
    }
    const mine = await made()
    for (const body of [{ id, types: ['a'] }, { scope: 'rival' }]) {
      expect(refused(await ask('PATCH', `/endpoints/${mine}`, body))).toEqual([400, 'input-invalid'])
    }
    expect(refused(await ask('POST', '/redrives', { scope: 'rival' }))).toEqual([400, 'input-invalid'])
    expect(refused(await ask('GET', '/endpoints?scope=rival'))).toEqual([400, 'input-invalid'])
    expect(refused(await ask('GET', '/deliveries?scope=rival'))).toEqual([400, 'input-invalid'])
  })

  test('is the resolver’s to say, with the principal; what it leaves open is a mistake, and nobody’s', async () => {
    const seen: unknown[] = []
    api = apiWith({
      authorize: () => ({ id: 'ann' }),
      scope: async (request, principal) => {
        seen.push(principal?.id)
        return request.headers.get(TENANT) === 'none' ? undefined : 'acme'
      },
    })
    expect((await ask('GET', '/endpoints')).status).toBe(200)
    const open = await ask('GET', '/endpoints', undefined, 'none')
    expect(refused(open)).toEqual([500, 'scope-invalid'])
    expect([seen, logger.errors.length]).toEqual([['ann', 'ann'], 1])
  })
})

describe('pages', () => {
  test('a cursor fits its own list, query and scope alone; a forged one is refused', async () => {
    await made()
    await made()
    await made({}, 'rival')
    await made({}, 'rival')
    const { next } = (await ask('GET', '/endpoints?limit=1')).body
    const forged = [
      'x',
      `${next.slice(0, -2)}!!`,
      `${next}=`,
      Buffer.from('{"id":"ep_1"}').toString('base64url'),
      next.slice(0, 11),
      encodeURIComponent('ep_\u0000'),
      '',
    ]
    for (const after of forged) {
      expect([after, ...refused(await ask('GET', `/endpoints?after=${after}`))]).toEqual([after, 400, 'input-invalid'])
    }
    expect(refused(await ask('GET', `/endpoints?limit=1&after=${next}`, undefined, 'rival'))).toEqual([
      400,
      'input-invalid',
    ])
    expect(refused(await ask('GET', `/deliveries?after=${next}`))).toEqual([400, 'input-invalid'])
  })

  test.each(['0', '201', '-1', '1.5', 'ten', '1e2', '', '0x10', '99999999999999999999'])(
    'a limit of "%s" is refused',
    async (limit) => {
      for (const list of ['/endpoints', '/deliveries']) {
        expect(refused(await ask('GET', `${list}?limit=${limit}`))).toEqual([400, 'input-invalid'])
      }
    },
  )
})

describe('bad input', () => {
  test.each<[string, string, string, unknown, number, string]>([
    ['a url within', 'POST', '/endpoints', { url: 'http://10.0.0.1/' }, 400, 'url-refused'],
    ['a url that is none', 'POST', '/endpoints', { url: 'acme' }, 400, 'url-refused'],
    ['no url', 'POST', '/endpoints', {}, 400, 'input-invalid'],
    ['an unknown member', 'POST', '/endpoints', { url, colour: 'red' }, 400, 'input-invalid'],
    [
      'a member of all objects',
      'POST',
      '/endpoints',
      `{"url":"${url}","__proto__":{"scope":"rival"}}`,
      400,
      'input-invalid',
    ],
    ['a wrong type', 'POST', '/endpoints', { url, types: 'order.*' }, 400, 'input-invalid'],
    ['a header of ours', 'POST', '/endpoints', { url, headers: { 'webhook-id': '1' } }, 400, 'input-invalid'],
    ['a key without its user', 'POST', '/signing-keys', {}, 400, 'input-invalid'],
    ['a life without an end', 'POST', '/signing-keys', { principal: 'ann', expiresIn: 'soon' }, 400, 'input-invalid'],
    ['a pace of zero', 'POST', '/redrives', { perSecond: 0 }, 400, 'input-invalid'],
    ['a status that is not redriven', 'POST', '/redrives', { status: 'succeeded' }, 400, 'input-invalid'],
    ['a day that is none', 'POST', '/redrives', { from: '2026-02-31T00:00:00' }, 400, 'input-invalid'],
    ['a number for a day', 'POST', '/redrives', { from: 1 }, 400, 'input-invalid'],
    ['an unknown status', 'GET', '/deliveries?status=lost', undefined, 400, 'input-invalid'],
    ['a time without a zone', 'GET', '/deliveries?from=2026-01-01T00:00', undefined, 400, 'input-invalid'],
    ['a parameter twice', 'GET', '/deliveries?status=dead&status=pending', undefined, 400, 'input-invalid'],
    ['an unknown parameter', 'GET', '/signing-keys?cursor=1', undefined, 400, 'input-invalid'],
    ['an array', 'POST', '/endpoints', '[]', 400, 'input-invalid'],
    ['null', 'POST', '/endpoints', 'null', 400, 'input-invalid'],
    ['half of a body', 'POST', '/endpoints', '{"url":', 400, 'input-invalid'],
    ['a long body', 'POST', '/endpoints', ' '.repeat(262_145), 413, 'body-too-large'],
    ['an endpoint that there is not', 'GET', '/endpoints/ep_none', undefined, 404, 'not-found'],
    ['an id with a zero', 'GET', '/endpoints/%00', undefined, 400, 'input-invalid'],
    ['a path that there is not', 'GET', '/nothing', undefined, 404, 'not-found'],
    ['a method that there is not', 'PUT', '/endpoints', {}, 405, 'method-not-allowed'],
  ])('%s', async (_, method, path, body, status, code) => {
    const answer = await ask(method, path, body)
    expect(refused(answer)).toEqual([status, code])
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(logger.errors).toEqual([])
  })

  test('a body where nothing is to be said', async () => {
    const id = await made()
    for (const verb of ['pause', 'resume', 'enable', 'ping', 'cancel']) {
      expect(refused(await ask('POST', `/endpoints/${id}/${verb}`, { reason: 'x' }))).toEqual([400, 'input-invalid'])
    }
    expect(refused(await ask('PATCH', `/endpoints/${id}`, { revision: '1' }))).toEqual([400, 'input-invalid'])
    expect(refused(await ask('POST', `/endpoints/${id}/rotate-secret`, { secret: 'short' }))).toEqual([
      400,
      'input-invalid',
    ])
  })

  test('another type than JSON, which a form of another site could send', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', '']) {
      const answer = await call(api, '/endpoints', {
        method: 'POST',
        headers: { 'Content-Type': type },
        body: JSON.stringify({ url }),
      })
      expect(refused(answer)).toEqual([415, 'unsupported-media-type'])
    }
    const utf16 = await call(api, '/endpoints', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json; charset=utf-16' },
      body: Buffer.from(JSON.stringify({ url }), 'utf16le'),
    })
    expect(refused(utf16)).toEqual([400, 'input-invalid'])
  })
})

describe('who may ask', () => {
  test('nobody without credentials, for any route', async () => {
    api = apiWith({ authorize: () => undefined })
    for (const path of ['/endpoints', '/deliveries', '/signing-keys', '/nothing']) {
      expect(refused(await ask('GET', path))).toEqual([401, 'unauthorized'])
    }
  })

  test('is in the context of the call', async () => {
    api = apiWith({ authorize: () => ({ id: 'ann', type: 'user' }), scope: (_, principal) => `of-${principal!.id}` })
    expect((await ask('POST', '/endpoints', { url })).body.scope).toBe('of-ann')
  })
})

test('a store that is away is 503 with a time to come again, and one line', async () => {
  const away = (): Promise<never> => Promise.reject(Object.assign(new Error('no'), { code: 'ECONNREFUSED' }))
  webhooks = createWebhooks({
    store: { ...store, endpoints: { ...store.endpoints, list: away } },
    encryption: 'plaintext',
  })
  api = apiWith()
  const answer = await ask('GET', '/endpoints')
  expect(refused(answer)).toEqual([503, 'store-unavailable'])
  expect([answer.headers.get('retry-after'), logger.errors.length]).toEqual(['1', 1])
  expect(answer.body).not.toHaveProperty('detail')
})

test('what no list has is a 500 without its words', async () => {
  const list = async (): Promise<never> => {
    throw new WebhookError('DECRYPT_FAILED', 'key k1 of acme')
  }
  api = apiWith({ webhooks: { ...webhooks, endpoints: { ...webhooks.endpoints, list } } })
  const answer = await ask('GET', '/endpoints')
  expect([...refused(answer), answer.text.includes('k1')]).toEqual([500, 'decrypt-failed', false])
})

test.each<[string, unknown, RegExp]>([
  ['nothing', undefined, /webhooksApi/],
  ['no http', { http: undefined }, /"http" is required/],
  ['no webhooks', { webhooks: undefined }, /"webhooks" is required/],
  ['half of webhooks', { webhooks: { endpoints: {} } }, /"webhooks" must be what createWebhooks\(\) answers/],
  ['no scope', { scope: undefined }, /"scope" is required/],
  ['an empty scope', { scope: '' }, /"scope" must be a scope of 1 to 128 bytes/],
  ['no authorize', { authorize: undefined }, /"authorize" is required/],
  ['another word', { authorize: 'private' }, /"authorize" must be 'public' or a function/],
  ['another member', { limiter: {} }, /unknown option "limiter"/],
])('webhooksApi refuses %s', (_, more, message) => {
  expect(() => (more === undefined ? webhooksApi(undefined as never) : apiWith(more as object))).toThrow(message)
})
