import { describe, expect, test } from 'vitest'
import { createIdempotency, memoryStore as memoryRecords, type Idempotency } from '@keelson/idempotency'
import { context } from '@keelson/kernel'
import { createWebhooks, memoryStore as memoryEvents, type Webhooks } from '@keelson/webhooks'
import { createHttp, type FetchHandler } from '@keelson/http'
import { opsApi, type OpsApiOptions } from '@keelson/http/apis'
import { createAudit, memoryStore as memoryEntries, type Audit } from '../audit.ts'
import { call, type Answer } from './call.ts'

const http = { problem: createHttp().problem }
const evil = `<script>alert('1')</script>"&`
const ESCAPED = '&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;&#34;&#38;'
/** What a browser says of a form of the page itself. */
const OWN = { 'Sec-Fetch-Site': 'same-origin' }
const FORM = { ...OWN, 'Content-Type': 'application/x-www-form-urlencoded' }

function api(more: Partial<OpsApiOptions> = {}): FetchHandler {
  return opsApi({ http, components: [], authorize: 'public', timeout: '30s', ...more })
}

const post = (
  one: FetchHandler,
  query: string,
  headers: Record<string, string> = OWN,
  body?: string,
): Promise<Answer> => call(one, `/?${query}`, { method: 'POST', headers, ...(body === undefined ? {} : { body }) })

/** The actions of the page's buttons, as a browser reads them. */
const actionsOf = ({ text }: Answer): string[] =>
  [...text.matchAll(/action="\?([^"]*)"/g)].map(([, query]) => query!.replaceAll('&#38;', '&'))

describe('dead deliveries', () => {
  /** One delivery that was refused, because its endpoint is inside the network. */
  async function refused(): Promise<Webhooks> {
    const webhooks = createWebhooks({
      store: memoryEvents(),
      encryption: 'plaintext',
      storeTimeout: '10s',
      endpoint: { breaker: false },
      network: { resolve: async () => [{ address: '10.0.0.1', family: 4 }] },
    })
    await webhooks.endpoints.create({ scope: 'm1', url: `https://inside.example/?q='&'` })
    await webhooks.send('order.created', { id: 1 }, { scope: 'm1' })
    await webhooks.runOnce()
    return webhooks
  }

  test('are listed for the tenant that is asked about, by the URL of their endpoint', async () => {
    await using webhooks = await refused()
    const one = api({ webhooks })
    const { text } = await call(one, '/?see=deliveries&scope=m1')
    for (const shown of ['order.created', 'refused', 'https://inside.example/?q=', 'Send again'])
      expect(text).toContain(shown)
    expect(text).not.toContain(`q='`)
    expect(actionsOf(await call(one, '/?see=deliveries&scope=m2'))).toEqual([])
    // A question to another section is none to this one.
    expect((await call(one, '/?see=explain&id=x&scope=m1')).text).not.toContain('order.created')
    const unasked = await call(one, '/')
    expect(unasked.text).toContain('Dead deliveries')
    expect(unasked.text).not.toContain('order.created')
  })

  test('a button sends one again, and shows the page that says so, once', async () => {
    await using webhooks = await refused()
    const one = api({ webhooks })
    const [, retry] = actionsOf(await call(one, '/?see=deliveries&scope=m1'))
    const answer = await post(one, retry!)
    expect([answer.status, answer.headers.get('Location')]).toEqual([303, '?see=deliveries&scope=m1&done=retried'])
    const { items } = await webhooks.deliveries.list({ scope: 'm1' })
    expect(items).toMatchObject([{ status: 'pending' }])
    const { text } = await call(one, `/${answer.headers.get('Location')}`)
    expect(text).toContain('role="status"')
    expect(text).toContain('The delivery goes again now.')
  })

  test('another button redrives all of the tenant', async () => {
    await using webhooks = await refused()
    const one = api({ webhooks })
    const [redrive] = actionsOf(await call(one, '/?see=deliveries&scope=m1'))
    expect((await post(one, redrive!)).headers.get('Location')).toBe('?see=deliveries&scope=m1&done=redriven')
    await webhooks.runOnce()
    expect((await webhooks.deliveries.list({ scope: 'm1' })).items).toMatchObject([{ status: 'dead', attempts: 2 }])
  })

  test('more than a page of them are seen page by page', async () => {
    await using webhooks = await refused()
    const events = Array.from({ length: 25 }, (_, n) => ({ type: 'order.created', data: { n }, scope: 'm1' }))
    for (const { type, data, scope } of events) await webhooks.send(type, data, { scope })
    await webhooks.runOnce()
    const one = api({ webhooks })
    const first = await call(one, '/?see=deliveries&scope=m1')
    const [, older] = /<a href="\?([^"]*)">Older/.exec(first.text) ?? []
    const second = await call(one, `/?${older!.replaceAll('&#38;', '&')}`)
    const ids = [first, second].flatMap((page) => actionsOf(page).filter((query) => query.startsWith('do=retry')))
    expect([ids.length, new Set(ids).size, second.text.includes('>Older<')]).toEqual([26, 26, false])
  })

  test('what cannot be done is said on the page', async () => {
    await using webhooks = await refused()
    const { status, text } = await post(api({ webhooks }), 'do=retry&scope=m1&id=dl_none')
    expect(status).toBe(404)
    expect(text).toMatch(/role="alert"[^>]*>NOT_FOUND: /)
    const { text: refusal } = await call(api({ webhooks }), '/?see=deliveries&scope=')
    expect(refusal).toContain('SCOPE_INVALID')
  })
})

describe('stuck keys', () => {
  const REF = { scope: 'm1', op: `POST /${evil}`, key: 'secret-17' }

  async function stuck(): Promise<Idempotency> {
    const idempotency = createIdempotency({ store: memoryRecords(), storeTimeout: '10s', guarantee: 'at-most-once' })
    await idempotency.run(REF, () => Promise.reject(new Error('no'))).catch(() => {})
    return idempotency
  }

  test('are listed without their text, and run again when a button says so', async () => {
    await using idempotency = await stuck()
    const one = api({ idempotency })
    const page = await call(one, '/')
    expect(page.text).toContain(ESCAPED)
    expect(page.text).not.toContain(REF.key)
    const [free] = actionsOf(page)
    const answer = await post(one, free!)
    expect([answer.status, answer.headers.get('Location')]).toEqual([303, '?see=keys&done=freed'])
    expect(await idempotency.find(REF)).toBeNull()
    expect((await post(one, free!)).headers.get('Location')).toBe('?see=keys&done=not-freed')
  })

  test('one that is not listed is named by a form, whose key is in no URL', async () => {
    await using idempotency = await stuck()
    const bare = { resolve: idempotency.resolve, stuck: async () => undefined }
    const one = api({ idempotency: bare })
    const page = await call(one, '/')
    expect(page.text).toContain('This store does not list them.')
    const [free] = actionsOf(page)
    const answer = await post(one, free!, FORM, new URLSearchParams({ ...REF, by: '' }).toString())
    expect(answer.headers.get('Location')).toBe('?see=keys&done=freed')
    const wrong = await post(one, free!, FORM, new URLSearchParams({ ...REF, key: '' }).toString())
    expect([wrong.status, wrong.text.includes('KEY_INVALID')]).toEqual([400, true])
    const json = await post(one, free!, { ...OWN, 'Content-Type': 'application/json' }, '{}')
    expect(json).toMatchObject({ status: 415, body: { code: 'unsupported-media-type' } })
  })
})

describe('the audit log', () => {
  async function log(): Promise<Audit> {
    const audit = createAudit({ store: memoryEntries(), storeTimeout: '10s' })
    const entry = (scope: string, id: string, correlationId: string): Promise<unknown> =>
      context.run({ correlationId }, () =>
        audit.record({
          scope,
          action: 'order.create',
          actor: { type: 'user', id },
          target: { type: 'order', id: evil },
          data: { to: evil },
        }),
      )
    await entry('m1', 'ann', 'corr-00001')
    await entry('m2', 'bob', 'corr-00002')
    await audit.flush()
    return audit
  }

  test('is searched over all tenants or in one, and each entry leads to its life', async () => {
    await using audit = await log()
    const one = api({ audit, components: [audit] })
    const rows = async (query: string): Promise<string[]> =>
      [...(await call(one, `/?see=entries&${query}`)).text.matchAll(/user:(\w+)<\/td>/g)].map(([, id]) => id!)
    expect(await rows('scope=&actor=&action=&target=&outcome=')).toEqual(['bob', 'ann'])
    expect(await rows('scope=m1')).toEqual(['ann'])
    expect(await rows('actor=user:bob&action=order.*&outcome=success')).toEqual(['bob'])
    expect(await rows(`target=${encodeURIComponent(`order:${evil}`)}`)).toEqual(['bob', 'ann'])
    expect(await rows('outcome=failure')).toEqual([])

    const { text } = await call(one, '/?see=entries&scope=m1')
    expect(text).not.toContain('<script')
    const [, life] = /href="\?([^"]*explain[^"]*)"/.exec(text) ?? []
    const { text: explained } = await call(one, `/?${life!.replaceAll('&#38;', '&')}`)
    expect(explained).toMatch(/audit\.entry<\/td><td[^>]*><span[^>]*>order\.create success/)
  })

  test('says what is wrong with a search', async () => {
    await using audit = await log()
    const one = api({ audit })
    for (const query of ['outcome=maybe', 'actor=:x', 'action=!', 'after=x']) {
      const { status, text } = await call(one, `/?see=entries&${query}`)
      expect([status, /role="alert"[^>]*>(INPUT_INVALID|input-invalid)/.test(text)], query).toEqual([200, true])
    }
  })

  test('knows who has read it, where it records that', async () => {
    await using audit = createAudit({ store: memoryEntries(), storeTimeout: '10s', auditReads: 'all' })
    await audit.record({ scope: 'm1', action: 'order.create', actor: { type: 'user', id: 'u' } })
    await audit.flush()
    const one = api({ audit, authorize: () => ({ id: 'olga', type: 'operator' }) })
    await call(one, '/?see=entries&scope=m1')
    await audit.flush()
    const { entries } = await audit.query({ scope: '*', action: 'audit.log.read' })
    expect(entries.map(({ actor }) => actor.id)).toEqual(['olga'])
  })
})

describe('the box that explains', () => {
  test('tells the life of an id in order, who did not answer, and nothing of an id that is markup', async () => {
    const known = {
      inspect: async () => ({ name: 'known', state: 'ok' as const, counts: {} }),
      metrics: () => [],
      trace: async (id: string) => [
        { at: 2_000, kind: 'sent', text: id },
        { at: 1_000, kind: 'claimed', text: 'first' },
      ],
    }
    const broken = { ...known, trace: () => Promise.reject(new Error('away')) }
    const one = api({ components: [known, broken] })
    const { text } = await call(one, `/?see=explain&id=${encodeURIComponent(evil)}`)
    expect(text).not.toContain('<script')
    expect(text.split(ESCAPED)).toHaveLength(3)
    expect(text.indexOf('claimed')).toBeLessThan(text.indexOf('>sent<'))
    expect(text).toContain('Somebody did not answer: FAILED: away')
  })
})

test('sinks are seen one by one, and how far behind they are', async () => {
  const sinks = { siem: { state: 'backoff', pending: 3, oldestMs: 90_000, dead: 1, lastError: evil }, odd: null }
  const inspect = async () => ({ name: 'audit', state: 'degraded' as const, counts: {}, lagMs: 1_500, sinks })
  const { text } = await call(api({ components: [{ inspect, metrics: () => [] }] }), '/')
  for (const shown of ['audit siem', 'backoff', '>1.5\u00A0min<', '>1.5\u00A0s<', ESCAPED])
    expect(text).toContain(shown)
})

test('a page that is watched reads itself again, and has no field that this would empty', async () => {
  await using idempotency = createIdempotency({ store: memoryRecords(), storeTimeout: '10s' })
  const one = api({ idempotency })
  const [page, watched] = [await call(one, '/'), await call(one, '/?watch')]
  expect([page.text.includes('http-equiv="refresh"'), page.text.includes('<form')]).toEqual([false, true])
  expect([watched.text.includes('http-equiv="refresh"'), watched.text.includes('<form')]).toEqual([true, false])
})

describe('who may act', () => {
  const acted: unknown[] = []
  const idempotency = {
    stuck: async () => [],
    resolve: async (ref: unknown) => (acted.push(ref), true),
  }
  const one = api({ idempotency })

  test.each([
    ['a form of another site', { 'Sec-Fetch-Site': 'cross-site' }],
    ['one of another host of the same site', { 'Sec-Fetch-Site': 'same-site', Origin: 'http://localhost' }],
    ['what somebody typed', { 'Sec-Fetch-Site': 'none' }],
    ['another origin', { Origin: 'http://evil.example' }],
    ['another port', { Origin: 'http://localhost:81' }],
    ['an origin that is hidden', { Origin: 'null' }],
    ['no browser', {}],
  ])('not %s', async (_, headers) => {
    expect(await post(one, 'do=free&id=x', headers)).toMatchObject({ status: 403, body: { code: 'cross-origin' } })
    expect(acted.splice(0)).toEqual([])
  })

  test.each([[OWN], [{ Origin: 'http://localhost' }], [{ Origin: 'https://ops.example', Host: 'ops.example' }]])(
    'a form of the page itself: %j',
    async (headers) => {
      expect((await post(one, 'do=free&id=x', headers)).status).toBe(303)
      expect(acted.splice(0)).toEqual([{ id: 'x' }])
    },
  )

  test('nobody whom authorize does not know, and nothing that is no action', async () => {
    const closed = api({ idempotency, authorize: () => undefined })
    expect((await post(closed, 'do=free&id=x')).status).toBe(401)
    for (const query of ['', 'do=toString', 'do=retry&scope=m1&id=dl_1'])
      expect((await post(one, query)).status).toBe(400)
    expect((await post(api(), 'do=free&id=x')).status).toBe(405)
    expect(acted).toEqual([])
  })

  test('a link makes the page say nothing but what it knows', async () => {
    const { text } = await call(one, `/?done=${encodeURIComponent(evil)}`)
    expect(text).not.toContain('role="status"')
    expect((await call(one, '/?done=toString')).text).not.toContain('role="status"')
  })
})

test.each([
  [{ webhooks: {} }, /"webhooks" must be what createWebhooks\(\) answers/],
  [{ webhooks: null }, /"webhooks"/],
  [{ idempotency: {} }, /"idempotency" must be an object with stuck\(\)/],
  [{ audit: {} }, /"audit" must be an object with query\(\)/],
])('opsApi refuses %j', (options, message) => {
  expect(() => api(options as never)).toThrow(message)
})
