import { APP_INTERCEPTOR } from '@nestjs/core'
import { Module, VersioningType, type INestApplication, type Provider, type Type } from '@nestjs/common'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createHttp, type HttpOptions } from '@keelson/http'
import { createIdempotency, memoryStore, type Idempotency, type IdempotencyOptions } from '@keelson/idempotency'
import { KeelsonModule, type KeelsonModuleOptions } from '@keelson/nest'
import { databases, type TestDatabase } from '../../http/test/databases.ts'
import { recordingLogger } from '../../http/test/support.ts'
import * as fixtures from './orders.nest.ts'
import { nest, platforms, start, type Running } from './platforms.ts'

const { Orders, Books, Scoped, Versions, First, Second, Third, Caught, Trace, CatchAll, Watching } = fixtures
const controllers = [Orders, Books, Scoped, First, Second, Third, Caught, fixtures.Files]

describe.each(platforms)(`${nest} on $platform`, (platform) => {
  const running: Running[] = []
  const cores: Idempotency[] = []
  let database: TestDatabase
  let logger: ReturnType<typeof recordingLogger>
  let trace: { steps: string[] }
  let keys = 0

  beforeAll(async () => void (database = await databases.find(({ name }) => name === 'PGlite')!.open()))
  afterAll(() => database.close())
  beforeEach(() => void (logger = recordingLogger()))
  afterEach(async () => {
    for (const one of running.splice(0)) await one.close()
    for (const one of cores.splice(0)) await one.stop({ drain: 0 })
  })

  interface Setting {
    readonly core?: Partial<IdempotencyOptions>
    readonly http?: HttpOptions
    readonly module?: Partial<KeelsonModuleOptions>
    readonly providers?: Provider[]
    readonly controllers?: Type[]
    prepare?(app: INestApplication): void
  }

  /** An application of all controllers. Transactional ones write to the database. */
  async function serve(o: Setting = {}): Promise<Running> {
    const idempotency = createIdempotency({ store: memoryStore(), wait: '1m', ...o.core })
    cores.push(idempotency)
    const { transaction, transactional } = database.idempotency
    const http = createHttp({
      db: database.db,
      idempotency: { run: idempotency.run, transaction, transactional },
      scope: () => 'm1',
      logger,
      problems: { details: 'never' },
      ...o.http,
    })
    @Module({
      imports: [KeelsonModule.forRoot({ http, ...o.module })],
      controllers: o.controllers ?? controllers,
      providers: [Trace, ...(o.providers ?? [])],
    })
    class App {}
    const one = await start(platform, App, o.prepare)
    running.push(one)
    trace = one.app.get(Trace)
    return one
  }

  const newKey = (): string => `nest-${platform.platform}-${++keys}`

  interface Given {
    readonly method?: string
    readonly key?: string
    readonly headers?: Record<string, string>
    readonly body?: unknown
  }
  async function ask({ url }: Running, path: string, { method = 'POST', key, headers, body }: Given = {}) {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      headers: response.headers,
      text,
      json: (): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>,
      isReplayed: response.headers.get('idempotent-replayed') === 'true',
    }
  }

  describe('a pipe', () => {
    it.each(['at-least-once', 'at-most-once'] as const)(
      'that refuses leaves no record (%s): the same key runs with what is right',
      async (guarantee) => {
        const app = await serve({ core: { guarantee } })
        const key = newKey()
        const refused = await ask(app, '/orders', { key, body: { cents: 'none' } })
        expect([refused.status, refused.json()['message']]).toEqual([400, [expect.stringContaining('cents must be')]])
        expect(await cores[0]!.find({ scope: 'm1', op: 'POST /orders', key })).toBeNull()
        const right = await ask(app, '/orders', { key, body: { cents: 7 } })
        expect([right.status, right.json(), right.isReplayed]).toEqual([201, { cents: 7 }, false])
        expect((await ask(app, '/orders', { key, body: { cents: 7 } })).isReplayed).toBe(true)
        expect(trace.steps).toEqual(['create 7'])
      },
    )

    it('of a parameter is one, and one of a request-scoped controller, and an interceptor in front', async () => {
      const app = await serve()
      const key = newKey()
      for (const path of ['/orders/x/pay', '/scoped/x']) {
        expect((await ask(app, path, { key })).status, path).toBe(400)
        expect(await cores[0]!.find({ scope: 'm1', op: `POST ${path}`, key })).toBeNull()
      }
      const refusing = await serve({ prepare: (one) => void one.useGlobalInterceptors(new fixtures.Refusing()) })
      expect((await ask(refusing, '/orders/7/pay', { key })).status).toBe(400)
      expect(await cores[1]!.find({ scope: 'm1', op: 'POST /orders/7/pay', key })).toBeNull()
      expect(trace.steps).toEqual([])
    })

    it('is not taken for the handler’s own refusal: that is remembered', async () => {
      const app = await serve()
      for (const [path, body, step] of [
        ['/orders', { cents: 13 }, 'create 13'],
        ['/scoped/13', undefined, 'scoped 13'],
      ] as const) {
        const key = newKey()
        const answers = [await ask(app, path, { key, body }), await ask(app, path, { key, body })]
        expect(answers.map(({ status, isReplayed }) => [status, isReplayed])).toEqual([
          [400, false],
          [400, true],
        ])
        expect(answers[1]!.text).toBe(answers[0]!.text)
        expect(trace.steps.filter((one) => one === step)).toHaveLength(1)
      }
    })
  })

  describe('rules', () => {
    it('that come early stand before guards, all others behind them', async () => {
      const app = await serve()
      const outside = await ask(app, '/orders/inside')
      expect([outside.status, outside.json()['code'], trace.steps]).toEqual([403, 'address-refused', []])
      const key = newKey()
      expect((await ask(app, '/orders/guarded', { key })).status).toBe(401)
      expect(await cores[0]!.find({ scope: 'm1', op: 'POST /orders/guarded', key })).toBeNull()
      const headers = { 'x-user': 'ann' }
      for (const isReplayed of [false, true]) {
        expect(await ask(app, '/orders/guarded', { key, headers })).toMatchObject({ status: 201, isReplayed })
      }
      expect(trace.steps).toEqual(['auth', 'auth', 'guarded', 'auth'])
    })

    it('of a class hold for its methods, and a method’s win one by one', async () => {
      const app = await serve()
      const key = newKey()
      const since = async (path: string): Promise<unknown> =>
        (await ask(app, path, { key, body: { sku: 'a' } })).headers.get('deprecation')
      expect(await since('/books')).toBe(`@${Date.UTC(2026, 0, 1) / 1000}`)
      expect(await since('/books/created')).toBe(`@${Date.UTC(2026, 1, 2) / 1000}`)
      expect((await ask(app, '/books', { key, body: { sku: 'a' } })).isReplayed).toBe(true)
      for (let i = 0; i < 2; i++) expect((await ask(app, '/books/plain', { key })).isReplayed).toBe(false)
      expect(trace.steps.filter((one) => one === 'plain')).toHaveLength(2)
    })

    it('are inherited from a base class, each class with its own', async () => {
      const app = await serve()
      expect((await ask(app, '/first')).json()).toEqual({ by: 'First' })
      expect((await ask(app, '/second/own')).json()).toMatchObject({ code: 'key-missing' })
      const key = newKey()
      for (const path of ['/first', '/second', '/first', '/second']) await ask(app, path, { key })
      expect(trace.steps).toEqual(['inherited by First', 'inherited by First', 'inherited by Second'])
      expect((await ask(app, '/first')).headers.get('deprecation')).toBeNull()
      expect((await ask(app, '/third')).headers.get('deprecation')).toBe(`@${Date.UTC(2026, 2, 3) / 1000}`)
    })

    it('are told by templates with prefix and version', async () => {
      const app = await serve({
        controllers: [Versions],
        prepare(one) {
          one.setGlobalPrefix('api')
          one.enableVersioning({ type: VersioningType.URI })
        },
      })
      for (const version of [1, 2]) {
        const answer = await ask(app, `/api/v${version}/versions/7/8`, { method: 'GET' })
        expect(answer.json()).toEqual({ version })
      }
      expect(logger.lines.flatMap(({ level, fields }) => (level === 'info' ? [fields['route']] : []))).toEqual([
        '/api/v1/versions/:shop/:id',
        '/api/v2/versions/:shop/:id',
      ])
    })
  })

  it('captures @HttpCode and @Header; the parameters are bytes, context and body', async () => {
    const app = await serve()
    const key = newKey()
    const given = { key, body: '{ "a" : 1 }' }
    const answers = [await ask(app, '/orders/bytes', given), await ask(app, '/orders/bytes', given)]
    for (const answer of answers) {
      expect([answer.status, answer.headers.get('x-own')]).toEqual([202, 'yes'])
      expect(answer.json()).toEqual({ bytes: '{ "a" : 1 }', tenant: 'm1', body: { a: 1 } })
    }
    expect(answers.map(({ isReplayed }) => isReplayed)).toEqual([false, true])
  })

  it('passes @Sse unbuffered, and runs it once a key', async () => {
    const heard = Promise.withResolvers<void>()
    fixtures.heard.promise = heard.promise
    const app = await serve()
    const keyed = { headers: { 'idempotency-key': newKey() } }
    const response = await fetch(`${app.url}/orders/events`, keyed)
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
    let text = ''
    for await (const part of response.body!) {
      text += Buffer.from(part as Uint8Array).toString()
      if (text.includes('data: one')) heard.resolve()
    }
    expect(text.match(/data: \w+/g)).toEqual(['data: one', 'data: two'])
    expect(await (await fetch(`${app.url}/orders/events`, keyed)).json()).toMatchObject({ code: 'answer-not-retained' })
  })

  describe('a transaction', () => {
    it('commits rows and the value as controllers’ interceptors map it, once a key', async () => {
      const app = await serve()
      const before = await database.counts()
      const key = newKey()
      const answers = [
        await ask(app, '/books', { key, body: { sku: 'tea' } }),
        await ask(app, '/books', { key, body: { sku: 'tea' } }),
      ]
      expect(answers.map(({ status, isReplayed }) => [status, isReplayed])).toEqual([
        [200, false],
        [200, true],
      ])
      expect(answers[0]!.json()).toEqual({ id: expect.any(Number), mapped: true })
      expect(answers[1]!.text).toBe(answers[0]!.text)
      expect(trace.steps).toEqual(['write POST /books'])
      expect((await database.counts()).orders - before.orders).toBe(1)
    })

    it('that throws leaves nothing, and the error is Nest’s', async () => {
      const app = await serve()
      const before = await database.counts()
      const key = newKey()
      const failed = await ask(app, '/books', { key, body: { sku: 'bad' } })
      expect([failed.status, failed.json()]).toEqual([500, { statusCode: 500, message: 'Internal server error' }])
      expect(await database.counts()).toEqual(before)
    })
  })

  describe('a transactional handler that answers by itself with @Res({ passthrough: true })', () => {
    it.each(Object.keys(fixtures.sends))('by %s: nobody is told of what was taken back', async (how) => {
      const app = await serve({ module: { problems: 'all' } })
      const before = await database.counts()
      const key = newKey()
      for (const runs of [1, 2]) {
        const answer = await ask(app, `/books/sent/${encodeURIComponent(how)}`, { key })
        expect([answer.status, answer.json()['code'], answer.isReplayed]).toEqual([500, 'input-invalid', false])
        expect(trace.steps).toHaveLength(runs)
      }
      expect(await database.counts()).toEqual(before)
      expect(logger.errors).toHaveLength(2)
      expect((await ask(app, '/books', { key, body: { sku: 'tea' } })).status).toBe(200)
    })
  })

  describe('an answer of ours', () => {
    it('reaches no catch-all filter, global or of the controller', async () => {
      const caught: unknown[] = []
      fixtures.caughtByController.length = 0
      const app = await serve({ prepare: (one) => void one.useGlobalFilters(new CatchAll(caught)) })
      for (const [path, body] of [
        ['/caught', {}],
        ['/books', { sku: 'a' }],
        ['/orders', { cents: 7 }],
      ] as const) {
        const key = newKey()
        for (const isReplayed of [false, true]) {
          const answer = await ask(app, path, { key, body })
          expect([answer.status < 300, answer.isReplayed], path).toEqual([true, isReplayed])
        }
      }
      expect((await ask(app, '/orders/inside')).status).toBe(403)
      expect([caught, fixtures.caughtByController]).toEqual([[], []])
      expect((await ask(app, '/orders/7/pay', { key: 'a,b' })).json()['code']).toBe('key-malformed')
    })

    it('carries what stands in front of it has set', async () => {
      const app = await serve({ prepare: (one) => one.enableCors({ origin: 'https://shop.test' }) })
      const key = newKey()
      const answers = [
        await ask(app, '/orders', { key, body: { cents: 7 } }),
        await ask(app, '/orders', { key, body: { cents: 7 } }),
        await ask(app, '/orders', { body: { cents: 7 } }),
        await ask(app, '/orders/inside'),
        await ask(app, '/books', { key, body: { sku: 'a' } }),
        await ask(app, '/orders/sold-out'),
      ]
      expect(answers.map(({ status, headers }) => [status, headers.get('access-control-allow-origin')])).toEqual(
        [201, 201, 400, 403, 200, 409].map((status) => [status, 'https://shop.test']),
      )
    })

    it('lets every interceptor end; those outside of the module see it as Answered', async () => {
      const outside: string[] = []
      const inside: string[] = []
      const app = await serve({
        providers: [{ provide: APP_INTERCEPTOR, useValue: new Watching(outside) }],
        prepare: (one) => void one.useGlobalInterceptors(new Watching(inside)),
      })
      const key = newKey()
      for (let i = 0; i < 2; i++) await ask(app, '/orders', { key, body: { cents: 7 } })
      expect([outside, inside]).toEqual([
        ['value', 'over', 'Answered', 'over'],
        ['value', 'over'],
      ])
    })
  })

  describe('problems', () => {
    const kinds = ['keelson', 'all'] as const
    it.each(kinds)('%s: what is answered as one', async (problems) => {
      const app = await serve({ module: { problems } })
      const answers = {
        pipe: await ask(app, '/orders', { key: newKey(), body: { cents: 'none' } }),
        unmatched: await ask(app, '/nowhere'),
        own: await ask(app, '/orders', { body: { cents: 7 } }),
        thrown: await ask(app, '/orders/sold-out'),
        unparsable: await ask(app, '/orders', { key: newKey(), body: '{"broken' }),
      }
      const type = (isProblem: boolean): unknown =>
        expect.stringContaining(isProblem ? 'problem+json' : 'application/json')
      expect(answers).toMatchObject({
        pipe: { status: 400, type: type(problems === 'all') },
        unmatched: { status: 404, type: type(problems === 'all') },
        own: { status: 400, type: type(true) },
        thrown: { status: 409, type: type(true) },
        unparsable: { status: 400, type: type(problems === 'all') },
      })
      for (const { headers } of Object.values(answers)) expect(headers.get('x-correlation-id')).not.toBeNull()
      if (problems === 'all') {
        const errors = [{ detail: expect.stringContaining('cents must be an integer') }]
        expect(answers.pipe.json()).toMatchObject({ code: 'input-invalid', errors, instance: '/orders' })
      }
    })

    it('are answered although the answer has a header that node:http refuses', async () => {
      const app = await serve({ module: { problems: 'all' } })
      expect((await ask(app, '/files/thrown')).json()).toMatchObject({ code: 'no-such-file' })
      expect(await ask(app, '/files/streamed')).toMatchObject({ status: 500 })
      expect(await ask(app, '/orders/sold-out')).toMatchObject({ status: 409 })
    })
  })
})
