import { describe, expect, test } from 'vitest'
import { context } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { resilientFetch, type ResilientFetchOptions } from '../../src/fetch/index.ts'
import { expectNoUnhandled } from '../no-unhandled.ts'
import { origin } from './origin-of-test.ts'
import type { Origin } from './origin.ts'

expectNoUnhandled()

const on = (options: Partial<ResilientFetchOptions> = {}) =>
  resilientFetch({ name: 'up', retry: { attempts: 3, base: 1, budget: false }, ...options })
const soon = <T>(look: () => T) => expect.poll(look, { timeout: 90_000 })
const encoder = new TextEncoder()

describe('what is retried', () => {
  const cases: [name: string, method: string, init: RequestInit, attempts: number][] = [
    ['GET', 'GET', {}, 3],
    ['HEAD', 'HEAD', {}, 3],
    ['OPTIONS', 'OPTIONS', {}, 3],
    ['a lower-case delete', 'delete', {}, 3],
    ['PUT of a string', 'PUT', { body: 'abc' }, 3],
    ['POST', 'POST', { body: 'abc' }, 1],
    ['PATCH', 'PATCH', { body: 'abc' }, 1],
    ['QUERY', 'QUERY', { body: 'abc' }, 1],
    ['POST with a key', 'POST', { body: 'abc', headers: { 'Idempotency-Key': 'k' } }, 3],
    ['PATCH with a key', 'PATCH', { body: 'abc', headers: [['idempotency-key', 'k']] }, 3],
    ['PUT of nothing', 'PUT', {}, 3],
    ['PUT of bytes', 'PUT', { body: encoder.encode('abc') }, 3],
    ['PUT of a buffer', 'PUT', { body: encoder.encode('abc').buffer }, 3],
    ['PUT of a view', 'PUT', { body: new DataView(encoder.encode('_abc_').buffer, 1, 3) }, 3],
    ['PUT of parameters', 'PUT', { body: new URLSearchParams({ a: '1' }) }, 3],
    ['PUT of a blob', 'PUT', { body: new Blob(['abc'], { type: 'text/x' }) }, 3],
  ]
  test.each(cases)('%s', async (_, method, init, attempts) => {
    const { url, arrived } = await origin((res) => res.writeHead(503).end('no'))
    for (const request of [() => on()(url, { ...init, method }), () => on()(new Request(url, { ...init, method }))]) {
      arrived.length = 0
      const answer = await request()
      expect([answer.status, await answer.text()]).toEqual([503, method === 'HEAD' ? '' : 'no'])
      expect(arrived).toHaveLength(attempts)
      const sent = new Request(url, { ...init, method: method === 'GET' || method === 'HEAD' ? 'OPTIONS' : method })
      for (const each of arrived) {
        expect(each.method).toBe(method.toUpperCase())
        expect(each.body).toBe(await sent.clone().text())
        expect(each.headers['content-type']).toBe(sent.headers.get('content-type') ?? undefined)
        expect(each.headers['content-length'] ?? '0').toBe(String(each.body.length))
      }
    }
  })

  test.each(['stream', 'Request of a stream', 'async iterable', 'Request of another answer'])(
    'a %s is sent once',
    async (kind) => {
      const { url, arrived } = await origin((res, _, req) => res.writeHead(req.method === 'GET' ? 200 : 503).end('abc'))
      const stream = (): ReadableStream<Uint8Array<ArrayBuffer>> =>
        new ReadableStream({
          start(controller) {
            controller.enqueue(encoder.encode('abc'))
            controller.close()
          },
        })
      async function* chunks() {
        yield encoder.encode('abc')
      }
      const init = { method: 'PUT', duplex: 'half' } as const
      const body = kind === 'async iterable' ? chunks() : kind === 'stream' ? stream() : undefined
      const answer = await (body !== undefined
        ? on()(url, { ...init, body })
        : on()(new Request(url, { ...init, body: kind.endsWith('stream') ? stream() : (await fetch(url)).body! })))
      expect(answer.status).toBe(503)
      expect(arrived.filter(({ method }) => method === 'PUT').map(({ body: sent }) => sent)).toEqual(['abc'])
    },
  )

  test('a form is the same bytes at each attempt, and what fetch would have sent', async () => {
    const form = new FormData()
    form.append('plain', 'one\ntwo\r\nthree\rfour')
    form.append('na"me\r\n\n', 'quoted')
    form.append('file', new File(['\0bytes\xff'], 'a"b\nc.bin', { type: 'application/x' }))
    form.append('untyped', new Blob(['x']))
    const { url, arrived } = await origin((res, n) => res.writeHead(n % 3 === 2 ? 200 : 500).end())
    await on()(url, { method: 'PUT', body: form })
    await on()(new Request(url, { method: 'PUT', body: form }))
    await fetch(url, { method: 'PUT', body: form })
    const seen = arrived.map(({ body, headers }) => ({
      body,
      type: headers['content-type']!,
      length: headers['content-length'],
    }))
    expect(seen).toHaveLength(7)
    for (const at of [0, 3]) for (const again of [1, 2]) expect(seen[at + again]).toEqual(seen[at])
    const without = ({ body, type }: (typeof seen)[number]): string =>
      body.replaceAll(/^multipart\/form-data; boundary=(.+)$/.exec(type)![1]!, 'BOUNDARY')
    expect(without(seen[0]!)).toBe(without(seen[6]!))
    expect(seen[0]!.length).toBe(String(seen[0]!.body.length))
  })

  test('the body is sent as it was when fetch was called', async () => {
    const bytes = encoder.encode('abc')
    const parameters = new URLSearchParams({ a: '1' })
    const headers = new Headers({ 'x-a': '1' })
    const { url, arrived } = await origin((res, n) => {
      bytes.fill(0)
      parameters.set('a', '2')
      headers.set('x-a', '2')
      res.writeHead(n % 3 === 2 ? 200 : 500).end()
    })
    await on()(url, { method: 'PUT', body: parameters, headers })
    await on()(url, { method: 'PUT', body: encoder.encode('abc') })
    headers.set('x-a', '1')
    bytes.set(encoder.encode('abc'))
    await on()(url, { method: 'PUT', body: bytes, headers })
    expect(arrived.map(({ body }) => body)).toEqual(['a=1', 'a=1', 'a=1', ...Array(6).fill('abc')])
    expect(arrived.slice(6).map((each) => each.headers['x-a'])).toEqual(['1', '1', '1'])
  })

  test('resets and refused connections are retried; the last error of fetch is the answer', async () => {
    const { url, arrived, close } = await origin((res, n) => (n < 2 ? res.socket!.resetAndDestroy() : res.end('late')))
    const up = on()
    expect(await (await up(url)).text()).toBe('late')
    expect(arrived).toHaveLength(3)
    await expect(up(url, { method: 'POST', body: '' })).resolves.toMatchObject({ status: 200 })
    await close()
    await expect(up(url)).rejects.toThrow(new TypeError('fetch failed'))
    expect((await up.pipeline.inspect()).counts['attempts']).toBe(3 + 1 + 3)
  })

  test('an attempt that takes too long is made again, but no POST', async () => {
    const { url, arrived } = await origin((res, n) => (n === 2 ? res.end('third') : undefined))
    const clock = virtualClock()
    const up = on({ attempt: 150, clock })
    const answer = up(url)
    for (const attempt of [1, 2]) {
      await soon(() => arrived.length).toBe(attempt)
      // Its time, and the pause before the next.
      await clock.advance(155)
    }
    expect(await (await answer).text()).toBe('third')
    const post = up(url, { method: 'POST', body: 'x' })
    post.catch(() => {})
    await soon(() => arrived.length).toBe(4)
    expect(clock.pending()).toBeGreaterThan(0)
    await clock.advance(150)
    await expect(post).rejects.toMatchObject({ code: 'ATTEMPT_TIMEOUT' })
    await clock.advance(155)
    expect([arrived.length, clock.pending()]).toEqual([4, 0])
  })

  test('x-retry: no, 4xx and 501 are answers', async () => {
    const { url, arrived } = await origin((res, _, req) =>
      res.writeHead(Number(req.url!.slice(1)), req.url === '/502' ? { 'x-retry': 'no' } : {}).end(),
    )
    for (const status of [502, 404, 501, 409]) expect((await on()(`${url}/${status}`)).status).toBe(status)
    expect(arrived).toHaveLength(4)
  })

  test('Retry-After is a floor: in seconds, and as a date of a server whose clock is wrong', async () => {
    const headers = [
      { 'retry-after': '1' },
      { date: 'Sun, 06 Nov 1994 08:49:37 GMT', 'retry-after': 'Sun, 06 Nov 1994 08:49:38 GMT' },
    ]
    const atMs: number[] = []
    const { url } = await origin((res, n) => {
      atMs.push(performance.now())
      res.writeHead(n < 2 ? 503 : 200, headers[n]).end()
    })
    expect((await on()(url)).status).toBe(200)
    expect(atMs[1]! - atMs[0]!).toBeGreaterThan(995)
    expect(atMs[2]! - atMs[1]!).toBeGreaterThan(995)
  })
})

describe('an idempotency key', () => {
  test('is one for all attempts of a call, another for the next call, and for POST and PATCH only', async () => {
    const { url, arrived } = await origin((res, n) => res.writeHead(n % 3 === 2 ? 200 : 503).end())
    const up = on({ idempotencyKey: true })
    await up(url, { method: 'POST', body: 'a' })
    await up(new Request(url, { method: 'PATCH', body: 'b' }))
    await up(url, { method: 'POST', body: 'c', headers: { 'idempotency-key': 'given' } })
    await up(url, { method: 'PUT', body: 'd' })
    const keys = arrived.map(({ headers }) => headers['idempotency-key'])
    expect(new Set(keys.slice(0, 3)).size).toBe(1)
    expect(new Set(keys.slice(3, 6)).size).toBe(1)
    expect(keys[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/)
    expect(keys[3]).not.toBe(keys[0])
    expect(keys.slice(6)).toEqual([...Array(3).fill('given'), ...Array(3).fill(undefined)])
  })

  test('makes hedges of GET but not of POST', async () => {
    const { url, arrived } = await origin((res, _, req) => {
      if (req.method === 'POST') setTimeout(() => res.end('one'), 300)
      else if (arrived.length > 1) res.end('hedge')
    })
    const up = on({ hedge: { after: 50 }, retry: true, idempotencyKey: true })
    expect(await (await up(url)).text()).toBe('hedge')
    expect(arrived).toHaveLength(2)
    arrived.length = 0
    expect(await (await up(url, { method: 'POST' })).text()).toBe('one')
    expect(arrived).toHaveLength(1)
  })
})

describe('propagation', () => {
  const ours = ['x-request-timeout-ms', 'x-retry-attempt', 'traceparent', 'x-correlation-id']
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const inContext = <T>(fn: () => T): T =>
    context.run({ correlationId: 'order-1', traceparent, deadline: performance.now() + 9_000 }, fn)
  const written = ({ arrived }: Origin, n = 0): Record<string, unknown> =>
    Object.fromEntries(ours.flatMap((name) => (name in arrived[n]!.headers ? [[name, arrived[n]!.headers[name]]] : [])))

  test('writes the context to the hosts that are named, and nothing to others', async () => {
    const near = await origin((res, n) => res.writeHead(n < 2 ? 503 : 200).end())
    const far = await origin((res) => res.end())
    const up = on({ propagate: [near.host] })
    await inContext(() => up(near.url))
    await inContext(() => up(far.url))
    await inContext(() => on()(far.url))
    expect(written(near)).toEqual({
      'x-request-timeout-ms': expect.stringMatching(/^[1-9]\d{0,3}$/) as string,
      traceparent,
      'x-correlation-id': 'order-1',
    })
    const leftMs = [0, 1, 2].map((n) => Number(written(near, n)['x-request-timeout-ms']))
    expect(leftMs[0]).toBeLessThanOrEqual(9_000)
    expect(leftMs.toSorted((a, b) => b - a)).toEqual(leftMs)
    expect([1, 2].map((n) => written(near, n)['x-retry-attempt'])).toEqual(['1', '2'])
    expect([written(far), written(far, 1)]).toEqual([{}, {}])
  })

  test('true means all hosts; what the caller writes stays; what no header can carry is left out', async () => {
    const any = await origin((res) => res.end())
    const up = on({ propagate: true, deadline: false })
    await up(any.url)
    await context.run({ correlationId: 'two\nlines', traceparent, retryAttempt: 2 }, () =>
      up(any.url, { headers: { traceparent: 'mine' } }),
    )
    expect(written(any)).toEqual({})
    expect(written(any, 1)).toEqual({ traceparent: 'mine', 'x-retry-attempt': '2' })
  })

  test('does not follow a redirect to another host', async () => {
    const far = await origin((res, _, req) =>
      req.url === '/back' ? res.writeHead(307, { location: `${near.url}/end` }).end() : res.end('far'),
    )
    const near: Origin = await origin((res, _, req) =>
      req.url === '/end' ? res.end('near') : res.writeHead(302, { location: `${far.url}${req.url}` }).end(),
    )
    const up = on({ propagate: [near.host] })
    const answer = await inContext(() => up(`${near.url}/x`, { headers: { 'x-mine': '1' } }))
    expect([answer.url, answer.redirected, await answer.text()]).toEqual([`${far.url}/x`, true, 'far'])
    expect(written(far)).toEqual({})
    expect(far.arrived[0]!.headers['x-mine']).toBe('1')
    expect(await (await inContext(() => up(`${near.url}/back`))).text()).toBe('near')
    expect(written(near, 2)).toMatchObject({ 'x-correlation-id': 'order-1' })
    expect(written(far, 1)).toEqual({})
  })
})

describe('it is a fetch', () => {
  test('its answers are: url, type, redirected, headers, status, clones', async () => {
    const { url } = await origin((res, _, req) => {
      if (req.url === '/from') return res.writeHead(301, { location: '/to#part' }).end()
      if (req.url === '/999') return res.writeHead(999, 'Odd').end('odd')
      return res
        .writeHead(201, 'Made it', [
          ['set-cookie', 'a=1'],
          ['set-cookie', 'b=2'],
          ['content-type', 'application/json'],
        ] as never)
        .end('{"a":1}')
    })
    const [theirs, mine] = [await fetch(`${url}/from`), await on()(`${url}/from`)]
    const shown = (r: Response): unknown => [r.url, r.type, r.redirected, r.status, r.statusText, r.ok, r.bodyUsed]
    expect(mine).toBeInstanceOf(Response)
    expect(shown(mine)).toEqual(shown(theirs))
    const headers = (r: Response): [string, string][] => [...r.headers].filter(([name]) => name !== 'date')
    expect(headers(mine)).toEqual(headers(theirs))
    expect(mine.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
    const clone = mine.clone()
    expect(shown(clone)).toEqual(shown(mine))
    expect(shown(clone.clone())).toEqual(shown(mine))
    expect([await mine.json(), mine.bodyUsed, clone.bodyUsed]).toEqual([{ a: 1 }, true, false])
    expect(await clone.text()).toBe('{"a":1}')
    await expect(mine.text()).rejects.toThrow(TypeError)
    expect(() => mine.clone()).toThrow(TypeError)
    const odd = await on()(`${url}/999`)
    expect([odd.status, odd.ok, odd.statusText, await odd.text()]).toEqual([999, false, 'Odd', 'odd'])
    const again = new Response((await on()(`${url}/to`)).body)
    expect(await again.json()).toEqual({ a: 1 })
  })

  test('redirect, method, and a dispatcher pass through, from init and from a Request', async () => {
    const { url, arrived } = await origin((res) => res.writeHead(302, { location: '/elsewhere' }).end())
    const manual = await on()(url, { redirect: 'manual' })
    expect([manual.status, manual.headers.get('location')]).toEqual([302, '/elsewhere'])
    await expect(on()(url, { redirect: 'error' })).rejects.toThrow(TypeError)
    expect((await on()(new Request(url, { redirect: 'manual', method: 'DELETE' }))).status).toBe(302)
    expect(
      (await on()(new Request(url, { redirect: 'manual', method: 'POST', body: 'a' }), { method: 'PUT', body: 'b' }))
        .status,
    ).toBe(302)
    await on()(new Request(url, { redirect: 'manual', referrer: `${url}/page`, referrerPolicy: 'unsafe-url' }))
    expect(arrived.map(({ method, body }) => method + body)).toEqual(['GET', 'GET', 'DELETE', 'PUTb', 'GET'])
    expect(arrived[4]!.headers['referer']).toBe(`${url}/page`)
    const asked: unknown[] = []
    for (const propagate of [undefined, [new URL(url).host]]) {
      const leaving = new AbortController()
      const dispatch = (o: { path: string }): never => {
        asked.push(o.path)
        setImmediate(() => leaving.abort(new Error('asked')))
        return undefined as never
      }
      const init = { dispatcher: { dispatch }, signal: leaving.signal }
      await expect(on(propagate && { propagate })(`${url}/mine`, init as object)).rejects.toThrow('asked')
    }
    expect(asked).toEqual(['/mine', '/mine'])
  })

  test('refuses what fetch refuses, with a TypeError, once, and the upstream is not blamed', async () => {
    const { url, arrived } = await origin((res) => res.end())
    const up = on({ breaker: { minCalls: 1, consecutive: 1 } })
    const used = new Request(url, { method: 'PUT', body: 'x' })
    await used.text()
    const bad: [unknown, object?][] = [
      ['nowhere'],
      ['http://'],
      ['ftp://host/'],
      [`http://user:password@${new URL(url).host}`],
      [url, { headers: { 'a b': 'c' } }],
      [url, { method: 'GET', body: 'x' }],
      [url, { method: 'TRACE' }],
      [url, { method: 'POST', body: new ReadableStream() }],
      [used],
    ]
    for (const [input, init] of bad) {
      await expect(fetch(input as string, init)).rejects.toThrow(TypeError)
      await expect(up(input as string, init)).rejects.toThrow(TypeError)
    }
    expect(arrived).toEqual([])
    expect(up.pipeline.state(new URL(url).host)).toBe('closed')
    expect(await (await up('data:,hello')).text()).toBe('hello')
  })

  test('a Request is used up, as fetch does it', async () => {
    const { url } = await origin((res) => res.end())
    for (const method of ['POST', 'PUT']) {
      const request = new Request(url, { method, body: 'x' })
      await on()(request)
      expect(request.bodyUsed).toBe(true)
      await expect(on()(request)).rejects.toThrow(TypeError)
    }
  })

  test('the signal of init, or else of the Request, ends it with its reason, before and during the call', async () => {
    const { url, arrived } = await origin(() => {})
    const reason = new Error('left')
    const gone = AbortSignal.abort(reason)
    await expect(on()(url, { signal: gone })).rejects.toBe(reason)
    await expect(on()(new Request(url, { signal: gone }))).rejects.toBe(reason)
    expect(arrived).toEqual([])
    for (const isRequest of [false, true]) {
      const leaving = new AbortController()
      const { signal } = leaving
      const answer = isRequest
        ? on()(new Request(url, { signal }))
        : on()(new Request(url, { signal: gone }), { signal })
      const arrivedBefore = arrived.length
      await soon(() => arrived.length).toBe(arrivedBefore + 1)
      leaving.abort(reason)
      await expect(answer).rejects.toBe(reason)
    }
  })

  test('keys are hosts, or what `key` says', async () => {
    const [one, two] = [await origin((res) => res.writeHead(500).end()), await origin((res) => res.end())]
    const up = on({ retry: false, breaker: { minCalls: 2, consecutive: 2 } })
    for (let n = 0; n < 2; n++) await up(one.url)
    await expect(up(one.url)).rejects.toMatchObject({ code: 'BREAKER_OPEN' })
    expect((await up(two.url)).status).toBe(200)
    expect([up.pipeline.state(one.host), up.pipeline.state(two.host)]).toEqual(['open', 'closed'])
    const byPath = on({ retry: false, breaker: true, key: ({ pathname }) => pathname })
    await byPath(`${two.url}/a`)
    expect((await byPath.pipeline.inspect()).keys).toBe(1)
  })

  test('a fallback answers, and close() ends what is under way', async () => {
    const { url, arrived } = await origin((res, n) => (n === 0 ? undefined : res.end()))
    const up = on({ fallback: (failure) => new Response(failure.kind) })
    const first = up(url)
    await soon(() => arrived.length).toBe(1)
    await up.pipeline.close()
    expect(await (await first).text()).toBe('closed')
    expect(await (await up(url)).text()).toBe('closed')
  })

  test('a fetch of one’s own sends', async () => {
    const sent: unknown[] = []
    const mine: typeof fetch = async (input, init) => {
      sent.push([input, init?.method, new Headers(init?.headers).get('x-a'), init?.signal?.aborted])
      return new Response('mine')
    }
    const answer = await on({ fetch: mine })('http://unknown.invalid/', { method: 'PUT', headers: { 'x-a': '1' } })
    expect(await answer.text()).toBe('mine')
    expect(sent).toEqual([['http://unknown.invalid/', 'PUT', '1', false]])
  })
})

test.each([
  [{ name: undefined }, '"name" is required'],
  [{ obeyRateLimit: true }, 'unknown option "obeyRateLimit"'],
  [{ classify: {} }, 'unknown option "classify"'],
  [{ bodyIdel: 1 }, 'did you mean "bodyIdle"'],
  [{ bodyIdle: 0 }, '"bodyIdle" must be'],
  [{ bodyIdle: false }, '"bodyIdle" must be'],
  [{ fetch: 1 }, '"fetch" must be a function'],
  [{ key: 'host' }, '"key" must be a function'],
  [{ propagate: false }, '"propagate" must be true or an array'],
  [{ propagate: 'host' }, '"propagate" must be true or an array'],
  [{ propagate: ['http://host'] }, '"propagate" must be true or an array'],
  [{ propagate: ['HOST'] }, '"propagate" must be true or an array'],
  [{ propagate: ['host/path'] }, '"propagate" must be true or an array'],
  [{ propagate: [''] }, '"propagate" must be true or an array'],
  [{ idempotencyKey: 'k' }, '"idempotencyKey" must be true or false'],
  [{ retry: { attempts: 0 } }, '"retry.attempts" must be'],
  [{ attempt: '1m' }, '"attempt" must not be over "deadline"'],
])('%j is refused', (wrong, message) => {
  expect(() => on(wrong as never)).toThrow(message)
  expect(() => on(wrong as never)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
})

test.each(['host', 'host:3000', '127.0.0.1', '[::1]:80', 'host:443', 'xn--bcher-kva.example'])(
  '%s is a host',
  (host) => {
    expect(() => on({ propagate: [host] })).not.toThrow()
  },
)
