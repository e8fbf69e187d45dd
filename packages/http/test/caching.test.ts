import { afterEach, describe, expect, it, test, vi } from 'vitest'
import { createCache, memoryStore, type Caches } from '@keelson/cache'
import {
  createHttp,
  HttpError,
  type CachedRule,
  type Headers,
  type Http,
  type HttpOptions,
  type Route,
  type RoutePolicy,
} from '@keelson/http'
import { checkRouteMethods } from '@keelson/http/adapter'
import { virtualClock } from '@keelson/kernel/testing'
import { exchange, headerOf, recordingLogger, type Given, type TestExchange } from './support.ts'

const caches = createCache({ name: 'app', maxTtl: '1h' })
/** As a cache on Redis: what is dropped there must be written down with the rows. */
const shared = createCache({ name: 'app', store: { ...memoryStore(), kind: 'redis' } })
const idempotency = { run: (): Promise<never> => Promise.reject(new Error('not asked')) }
const all: HttpOptions = { cache: caches, idempotency, scope: () => 'm1', principal: () => ({ id: 'ann' }) }
const right: CachedRule = { ttl: '10m', per: 'scope' }

describe('a rule about caches is refused when it is compiled', () => {
  it.each<[string, unknown, HttpOptions, RegExp]>([
    ['cached without a cache', { cached: right }, { scope: () => 'm1' }, /"cached" needs createHttp\(\{ cache \}\)/],
    ['invalidates without one', { invalidates: ['a'] }, {}, /"invalidates" needs createHttp\(\{ cache \}\)/],
    ['a cache that is none', {}, { cache: {} as never }, /"cache" must be an object with scope\(\)/],
    ['no ttl', { cached: { per: 'scope' } }, all, /policy: cached: "ttl" is required/],
    ['a ttl that cannot be read', { cached: { ...right, ttl: 'soon' } }, all, /"ttl" must be a Duration .* 'soon'/],
    [
      'a ttl over the cache’s',
      { cached: { ...right, ttl: '2h' } },
      all,
      /policy: cached: .*"ttl" must be at most maxTtl/,
    ],
    ['nobody’s answers', { cached: { ttl: '1m' } }, all, /"per" is required: 'principal', or 'scope' to share/],
    ['nobody’s in a function', { cached: { ttl: '1m', scope: () => 'public' } }, all, /"per" is required/],
    ['per request', { cached: { ...right, per: 'request' } }, all, /"per" must be 'principal' or 'scope'/],
    [
      'per principal of none',
      { cached: { ...right, per: 'principal' } },
      { ...all, principal: undefined as never },
      /createHttp\(\{ principal \}\)/,
    ],
    ['no scope', { cached: right }, { cache: caches }, /cached: "scope" is required here or in createHttp/],
    ['a bad scope', { cached: { ...right, scope: '' } }, all, /"scope" must be a scope/],
    ['tags that are none', { cached: { ...right, tags: [1] } }, all, /"tags" must be an array of tags or a function/],
    ['an empty tag', { cached: { ...right, tags: [''] } }, all, /policy: cached: .*tag/],
    ['a tag with a line break', { cached: { ...right, tags: ['a\nb'] } }, all, /policy: cached: .*tag/],
    ['a tag of a write that no entry can have', { invalidates: ['a', 'b\nc'] }, all, /policy: invalidates: .*tag/],
    [
      'a write in a transaction over a cache that has no log',
      { invalidates: ['a'], transactional: true },
      { ...all, cache: shared, db: database() },
      /policy: invalidates: "transactional" needs createCache\(\{ log \}\)/,
    ],
    ['a header’s name', { cached: { ...right, vary: ['a b'] } }, all, /"vary" must be an array of names/],
    ['a status of parts', { cached: { ...right, statuses: [200, 206] } }, all, /"statuses" must be .* \(got/],
    ['a 500', { cached: { ...right, statuses: [500] } }, all, /"statuses" must be/],
    ['an unknown member', { cached: { ...right, maxage: '1m' } }, all, /did you mean "maxAge"/],
    ['a kind of ETag', { etag: 'md5' }, all, /"etag" must be 'weak', 'strong' or false/],
    ['tags of a write', { invalidates: [1] }, all, /policy: invalidates: "tags" must be/],
    [
      'no tags of a write',
      { invalidates: {} },
      all,
      /policy: invalidates: unknown option|"tags" must be|"tags" is required/,
    ],
    ['no tag at all', { invalidates: [] }, all, /"tags" must be/],
    [
      'invalidates that is none',
      { invalidates: 'a' },
      all,
      /"invalidates" must be an array of tags, a function or an object/,
    ],
    ['cached with a key', { cached: right, idempotent: {} }, all, /"cached" is for reads, "idempotent" for writes/],
    ['cached with invalidates', { cached: right, invalidates: ['a'] }, all, /"cached" is for reads, "invalidates"/],
    ['etag in a transaction', { etag: 'weak', transactional: true }, { ...all, db: database() }, /"etag" is for reads/],
  ])('%s', (_, policy, options, message) => {
    const compile = (): unknown => createHttp(options).compile(policy as RoutePolicy)
    expect(compile).toThrow(expect.objectContaining({ name: 'HttpError', code: 'OPTION_INVALID' }))
    expect(compile).toThrow(message)
  })

  it.each([
    ['post', { cached: right }, 'POST /a: "cached" is for GET and HEAD'],
    ['DELETE', { etag: 'weak' }, 'DELETE /a: "etag" is for GET and HEAD'],
  ] as const)('%s with a rule for reads', (method, policy, message) => {
    expect(() => checkRouteMethods('/a', ['GET', method], policy)).toThrow(message)
    expect(() => checkRouteMethods('/a', ['GET', 'HEAD', undefined], policy)).not.toThrow()
    expect(() => checkRouteMethods('/a', [method], { etag: false, invalidates: ['a'] })).not.toThrow()
  })

  test('types refuse it, too', () => {
    const policies: RoutePolicy[] = [
      { cached: { ttl: '1m', scope: 'public' } },
      { cached: { ttl: '1m', scope: (x) => x.header('x-tenant'), per: 'principal' } },
      // @ts-expect-error: whose answers are they?
      { cached: { ttl: '1m' } },
      // @ts-expect-error: no ttl
      { cached: { per: 'scope' } },
      // @ts-expect-error: no such kind
      { etag: 'md5' },
      // @ts-expect-error: one tag is no list
      { invalidates: 'a' },
      { invalidates: { tags: (x, { status }) => [`${status} ${x.path}`], scope: 'm1' } },
    ]
    expect(policies.length).toBe(7)
  })
})

describe('a cached route', () => {
  const opened: Caches[] = []
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close()
  })

  function serve(rule: Partial<CachedRule> = {}, o: HttpOptions = {}): { http: Http; route: Route; cache: Caches } {
    const cache = createCache({ name: 'app', jitter: 0, early: 0 })
    opened.push(cache)
    const http = createHttp({ cache, scope: () => 'm1', ...o })
    return { http, route: http.compile({ cached: { ...right, ...rule } }), cache }
  }

  /** A request whose handler answers so, if it comes to it; what is sent in the end, and what its head gets. */
  async function ask(
    { http, route }: ReturnType<typeof serve>,
    answer: { status?: number; before?: Headers; headers?: Headers; body?: string; during?: () => Promise<void> },
    given: Given = {},
  ): Promise<{ x: TestExchange; ran: boolean; status: number; said: unknown; etag: unknown }> {
    const x = exchange({ method: 'GET', ...given })
    http.begin(x)
    const found = await route.late(x)
    if (found !== undefined)
      return {
        x,
        ran: false,
        status: found.status,
        said: headerOf(found, 'cache-status'),
        etag: headerOf(found, 'etag'),
      }
    const { status = 200, before = [], headers = [], body = 'text' } = answer
    await answer.during?.()
    const instead = x.isCaptured
      ? await x.answered({ kind: 'whole', before, response: { status, headers, body: Buffer.from(body) } })
      : undefined
    x.headLeaves(status, headers)
    const said = instead === undefined ? x.answerHeaders['cache-status'] : headerOf(instead, 'cache-status')
    return { x, ran: true, status: instead?.status ?? status, said, etag: x.answerHeaders['etag'] }
  }

  it.each<[string, { status?: number; headers?: Headers }, string]>([
    ['a cookie', { headers: [['set-cookie', 'a=1']] }, 'set-cookie'],
    ['no-store', { headers: [['Cache-Control', 'max-age=1, No-Store']] }, 'private'],
    ['private', { headers: [['Cache-Control', 'private="x"']] }, 'private'],
    ['a coding', { headers: [['Content-Encoding', 'br']] }, 'content-encoding'],
    ['a Vary that its rule does not name', { headers: [['Vary', 'Origin, Accept-Language']] }, 'vary'],
    ['Vary: *', { headers: [['Vary', '*']] }, 'vary'],
    ['another length than it says', { headers: [['Content-Length', '99']] }, 'length'],
    ['a 404', { status: 404 }, ''],
    ['a 206', { status: 206 }, ''],
    ['a 503', { status: 503 }, 'server-error'],
  ])('%s is not kept', async (_, answer, why) => {
    const site = serve()
    for (let i = 0; i < 2; i++) {
      expect(await ask(site, answer)).toMatchObject({ ran: true, said: 'keelson; fwd=uri-miss', etag: undefined })
      // The answer does not wait until the load is over; who came before would have waited for it.
      await new Promise((resolve) => setImmediate(resolve))
    }
    const [family] = site.http.metrics().filter(({ name }) => name === 'keelson_http_not_stored_total')
    expect(family!.samples.map(({ labels, value }) => [labels?.['why'], value])).toEqual(why === '' ? [] : [[why, 2]])
  })

  it.each<[string, Headers]>([
    ['no-cache of its own', [['Cache-Control', 'no-cache']]],
    ['a Vary that its rule names', [['Vary', 'accept-language']]],
    ['what stands around it', [['Vary', 'Origin, Accept-Encoding']]],
    ['identity', [['Content-Encoding', 'identity']]],
    ['its true length', [['Content-Length', '4']]],
  ])('%s is kept', async (_, headers) => {
    const site = serve({ vary: ['Accept-Language'] })
    expect(await ask(site, { headers })).toMatchObject({ ran: true, said: 'keelson; fwd=uri-miss; stored' })
    expect(await ask(site, {})).toMatchObject({ ran: false, status: 200 })
  })

  it.each<[Partial<CachedRule>, string]>([
    [{}, 'private, no-cache'],
    [{ maxAge: '90s' }, 'private, max-age=90'],
    [{ scope: 'public' }, 'no-cache'],
    [{ scope: 'public', maxAge: '1m' }, 'public, max-age=60'],
    [{ scope: () => 'public', maxAge: '1m' }, 'private, max-age=60'],
  ])('with %o says Cache-Control: %s', async (rule, cacheControl) => {
    const site = serve(rule)
    const { x } = await ask(site, {})
    expect(x.answerHeaders['cache-control']).toBe(cacheControl)
    const own = exchange({ method: 'GET' })
    site.http.begin(own)
    expect(headerOf((await site.route.late(own))!, 'cache-control')).toBe(cacheControl)
  })

  it.each([
    ['strong', 'W/"own"', /^"[\w-]{22}"$/],
    ['strong', '"own"', /^"own"$/],
    ['weak', 'W/"own"', /^W\/"own"$/],
  ] as const)(
    'with etag %s makes of %s one as it is asked for, at once and when it is kept',
    async (etag, own, said) => {
      const site = serve()
      const route = site.http.compile({ cached: right, etag })
      const headers: Headers = [['Etag', own]]
      const first = await ask({ ...site, route }, { headers })
      const again = await ask({ ...site, route }, { headers })
      expect([first.ran, again.ran]).toEqual([true, false])
      expect(first.etag ?? own).toMatch(said)
      expect(again.etag).toMatch(said)
    },
  )

  it('gives a stale answer in place of a 5xx, within its grace', async () => {
    const site = serve({ grace: '1h', tags: ['texts'] })
    await ask(site, { body: 'one' })
    await site.cache.scope('m1').expire('texts')
    expect(await ask(site, { status: 500 })).toMatchObject({ ran: true, status: 200, said: 'keelson; fwd=stale' })
  })

  it('makes a new answer for who asks for one, where it may', async () => {
    for (const [honourNoCache, said] of [
      [true, /^keelson; fwd=request; stored$/],
      [false, /^keelson; hit; ttl=(600|59\d)$/],
    ] as const) {
      const site = serve({ honourNoCache })
      await ask(site, {})
      expect((await ask(site, {}, { headers: [['Cache-Control', 'no-cache']] })).said).toMatch(said)
    }
  })

  it('without a scope answers nobody', async () => {
    const { http, route } = serve({ scope: () => undefined })
    const x = exchange({ method: 'GET' })
    http.begin(x)
    await expect(route.late(x)).rejects.toMatchObject({ name: 'HttpError', code: 'SCOPE_INVALID' })
  })

  it('an early refresh finds no handler, and leaves the entry as it is', async () => {
    const clock = virtualClock()
    const store = memoryStore({ clock })
    const cache = createCache({ name: 'app', store, clock, jitter: 0, early: 10, random: () => Number.MIN_VALUE })
    opened.push(cache)
    const http = createHttp({ cache, scope: () => 'm1' })
    const site = { http, route: http.compile({ cached: { ...right, ttl: '10s' } }), cache }
    await ask(site, { during: () => clock.advance('1s') })
    for (let i = 0; i < 5; i++) {
      expect(await ask(site, {})).toMatchObject({ ran: false, status: 200 })
    }
    const again = async (): Promise<void> => {
      const [loads] = cache.metrics().filter(({ name }) => name === 'keelson_cache_loads_total')
      expect(loads!.samples[0]!.value).toBeGreaterThan(1)
      expect((await cache.inspect()).loads.running).toBe(0)
    }
    await vi.waitFor(again, { timeout: 30_000 })
  })

  it('a closed cache is one that is away', async () => {
    const site = serve()
    await site.cache.close()
    expect(await ask(site, {})).toMatchObject({ ran: true, said: 'keelson; fwd=bypass' })
  })

  it('a wrong tag is one error line, and the answer goes out', async () => {
    const logger = recordingLogger()
    const site = serve({ tags: () => [''] }, { logger })
    expect(await ask(site, {})).toMatchObject({ ran: true, status: 200 })
    expect(logger.errors).toMatchObject([{ err: { code: 'TAG_INVALID' } }])
  })

  it.each<[string, Headers, Headers, Headers | undefined]>([
    ['is not kept with the answer', [['X-User', 'ann']], [['X-User', 'ann']], []],
    ['is, when the handler has changed it', [['X-User', 'ann']], [['x-user', 'all']], [['x-user', 'all']]],
    ['is not missed, when the handler has removed it', [['X-User', 'ann']], [], []],
    [
      'not what the handler has added to it',
      [['X-Two', '1']],
      [
        ['X-Two', '1'],
        ['X-Two', '2'],
      ],
      [],
    ],
    [
      'of a list, its own lines',
      [['Link', '</a>; title="a, b"']],
      [
        ['Link', '</a>; title="a, b"'],
        ['Link', '</b>'],
      ],
      [['Link', '</b>']],
    ],
    ['of a list in one line, its own part', [['link', '</a>']], [['Link', '</a>, </b>']], [['Link', '</b>']]],
    ['a cookie of its own is nobody else’s', [['Set-Cookie', 'a=1']], [['set-cookie', 'a=1']], []],
    [
      'beside a cookie of the handler nothing is kept',
      [['Set-Cookie', 'a=1']],
      [
        ['Set-Cookie', 'a=1'],
        ['Set-Cookie', 'b=1'],
      ],
      undefined,
    ],
    [
      'what the bytes are stays with them',
      [['Content-Type', 'a/b']],
      [['content-type', 'a/b']],
      [['content-type', 'a/b']],
    ],
    ['a Vary counts, whoever has said it', [['Vary', 'Cookie']], [['Vary', 'Cookie']], undefined],
    ['and stays with the answer', [['Vary', 'Origin']], [['Vary', 'Origin']], [['Vary', 'Origin']]],
    ['no-store in front counts', [['Cache-Control', 'no-store']], [['Cache-Control', 'no-store']], undefined],
  ])('what middleware has set in front: %s', async (_, before, headers, kept) => {
    const site = serve()
    expect(await ask(site, { before, headers })).toMatchObject({ ran: true })
    const x = exchange({ method: 'GET' })
    site.http.begin(x)
    const again = await site.route.late(x)
    const ADDED = /^(etag|cache-control|cache-status|age)$/i
    expect(again?.headers.filter(([name]) => !ADDED.test(name))).toEqual(kept)
  })

  it('an answer that is no success is never a 304: not when made, not when kept, not when remembered', async () => {
    const site = serve({ statuses: [200, 404] })
    const any: Given = { headers: [['If-None-Match', '*']] }
    expect(await ask(site, { status: 404 }, any)).toMatchObject({ ran: true, status: 404 })
    expect(await ask(site, {}, any)).toMatchObject({ ran: false, status: 404 })
    expect(await ask(site, {}, any)).toMatchObject({ ran: false, status: 404 })
    expect(await ask(site, {}, { ...any, method: 'HEAD' })).toMatchObject({ ran: false, status: 404 })
  })

  it('what another version has stored is no answer', async () => {
    const site = serve()
    const first = await ask(site, {})
    expect(first.ran).toBe(true)
    const { entryKey } = await import('../src/caching/entry-key.ts')
    const key = entryKey(exchange({ method: 'GET' }), { query: undefined, vary: [] }, undefined)!
    await site.cache.scope('m1').set(key, new Uint8Array([255, 1, 2]))
    expect(await ask(site, {})).toMatchObject({ ran: true, status: 200 })
  })

  it('queries that a parser may read in two ways never share an answer', async () => {
    const { entryKey } = await import('../src/caching/entry-key.ts')
    const of = (search: string, query?: string[]) =>
      entryKey(exchange({ method: 'GET', query: search }), { query, vary: [] }, undefined)
    expect(of('page[]=2', ['page'])).not.toEqual(of('', ['page']))
    expect(of('page[size]=100&page[number]=7', ['page'])).not.toEqual(of('page[size]=1&page[number]=1', ['page']))
    expect(of('a[]=1&a[0]=2')).not.toEqual(of('a[0]=2&a[]=1'))
    expect(of('b=1&a=2')).toEqual(of('a=2&b=1'))
    expect(of('a=2&a=1')).not.toEqual(of('a=1&a=2'))
    expect(of('other=1&a=1', ['a'])).toEqual(of('a=1', ['a']))
    expect([of('z=%FF'), of('%FE=1'), of('z=%EF%BF%BD')]).toEqual([undefined, undefined, undefined])
  })

  it('two policies that keep one answer are told apart', async () => {
    const { http, route } = serve()
    const other = http.compile({ etag: 'weak' })
    const x = exchange({ method: 'GET' })
    http.begin(x)
    await route.late(x)
    await expect(other.late(x)).rejects.toBeInstanceOf(HttpError)
  })
})

/** As a database looks. */
function database(): never {
  return { query: async () => ({ rows: [] }), transaction: async () => undefined } as never
}
