import compress from '@fastify/compress'
import { Module, type DynamicModule, type Type } from '@nestjs/common'
import type { NestFastifyApplication } from '@nestjs/platform-fastify'
import { Test } from '@nestjs/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { createCache } from '@keelson/cache'
import type { WebhooksLike } from '@keelson/http/apis'
import { createHttp } from '@keelson/http'
import { createIdempotency, memoryStore, type Idempotency } from '@keelson/idempotency'
import { KEELSON_IDEMPOTENCY, KeelsonModule, limiterToken, mountApi, pipelineToken } from '@keelson/nest'
import {
  KEELSON_AUDIT,
  KEELSON_CACHE,
  KEELSON_DB,
  KEELSON_HEALTH,
  KEELSON_WEBHOOKS,
  type KeelsonComponents,
} from '@keelson/nest'
import { recordingLogger } from '../../http/test/support.ts'
import { nest, platforms, start, type Running } from './platforms.ts'
import * as fixtures from './wiring.nest.ts'

const { Wired, WiredModule, WithoutStripe, Config, ConfigModule, Echo } = fixtures
const db = { query: async () => ({ rows: [] }), transaction: async () => undefined as never }

describe.each(platforms)(`${nest} on $platform`, (platform) => {
  const running: Running[] = []
  afterEach(async () => {
    for (const one of running.splice(0)) await one.close()
  })

  async function serve(keelson: DynamicModule, o: { imports?: Type[]; controllers?: Type[]; providers?: Type[] } = {}) {
    @Module({ ...o, imports: [keelson, ...(o.imports ?? [])] })
    class App {}
    const one = await start(platform, App)
    running.push(one)
    return one
  }

  function parts(): { components: Required<KeelsonComponents>; idempotency: Idempotency } {
    const idempotency = createIdempotency({ store: memoryStore() })
    const report = async (): Promise<never> => Promise.reject(new Error('not asked'))
    const notAsked = (): never => {
      throw new Error('not asked')
    }
    const health = { liveness: report, readiness: report, startup: report }
    const components = {
      idempotency,
      cache: createCache({ name: 'app' }),
      audit: { entry: notAsked, record: notAsked },
      db,
      webhooks: { endpoints: {}, events: {}, deliveries: {}, signingKeys: {} } as unknown as WebhooksLike,
      health,
      pipelines: { stripe: { name: 's' } },
      limiters: { writes: { take: report, refund: report } },
    }
    return { components, idempotency }
  }
  const tokens = [
    KEELSON_IDEMPOTENCY,
    KEELSON_CACHE,
    KEELSON_AUDIT,
    KEELSON_DB,
    KEELSON_WEBHOOKS,
    KEELSON_HEALTH,
    pipelineToken('stripe'),
    limiterToken('writes'),
  ]

  describe('injection', () => {
    it.each(['forRoot', 'forRootAsync'] as const)('%s: components have their tokens in every module', async (how) => {
      const { components, idempotency } = parts()
      const http = createHttp({ idempotency, scope: () => 'm1' })
      const keelson =
        how === 'forRoot'
          ? KeelsonModule.forRoot({ http, components })
          : KeelsonModule.forRootAsync({ tokens, useFactory: async () => ({ http, components }) })
      const { app } = await serve(keelson, { imports: [WiredModule] })
      const { injected } = app.get(Wired, { strict: false })
      expect(Object.keys(injected)).toEqual([
        'http',
        'idempotency',
        'cache',
        'audit',
        'db',
        'webhooks',
        'health',
        'stripe',
        'writes',
      ])
      expect(injected['http']).toBe(http)
      expect(injected['idempotency']).toBe(idempotency)
      expect(injected['cache']).toBe(components.cache)
      expect(injected['audit']).toBe(components.audit)
      expect(injected['db']).toBe(db)
      expect(injected['webhooks']).toBe(components.webhooks)
      expect(injected['health']).toBe(components.health)
      expect(injected['stripe']).toBe(components.pipelines['stripe'])
      expect(injected['writes']).toBe(components.limiters['writes'])
    })

    it('a factory gets what it asks for', async () => {
      const tenants: unknown[] = []
      const { url } = await serve(
        KeelsonModule.forRootAsync({
          imports: [ConfigModule],
          inject: [Config],
          useFactory(config: InstanceType<typeof Config>) {
            const idempotency = createIdempotency({ store: memoryStore() })
            const scope = (): string => (tenants.push(config.tenant), config.tenant)
            return { http: createHttp({ idempotency, scope }) }
          },
        }),
        { controllers: [Echo] },
      )
      await fetch(`${url}/echo`, { method: 'POST', headers: { 'idempotency-key': 'a' } })
      expect(new Set(tenants)).toEqual(new Set(['m7']))
    })

    it('a name that is not registered stops the start, and so does a token without its component', async () => {
      const { components } = parts()
      const http = createHttp()
      await expect(serve(KeelsonModule.forRoot({ http, components }), { providers: [WithoutStripe] })).rejects.toThrow(
        /pipelines\.paypal/,
      )
      await expect(serve(KeelsonModule.forRootAsync({ tokens, useFactory: () => ({ http }) }))).rejects.toMatchObject({
        code: 'OPTION_INVALID',
        message: expect.stringContaining('keelson.nest.idempotency'),
      })
    })
  })

  describe('the start is stopped', () => {
    it('by a wrong option, that is named', async () => {
      const http = createHttp()
      expect(() => KeelsonModule.forRoot({} as never)).toThrow(/"http" is required/)
      expect(() => KeelsonModule.forRoot({ http: {} } as never)).toThrow(/"http" must be an object with begin\(\)/)
      expect(() => KeelsonModule.forRoot({ http, problem: 'all' } as never)).toThrow(/did you mean "problems"/)
      expect(() => KeelsonModule.forRoot({ http, problems: 'none' } as never)).toThrow(/'keelson' or 'all'/)
      expect(() => KeelsonModule.forRoot({ http, components: { redis: {} } } as never)).toThrow(/"components.redis"/)
      await expect(serve(KeelsonModule.forRootAsync({ useFactory: () => ({}) as never }))).rejects.toMatchObject({
        code: 'OPTION_INVALID',
      })
    })

    it.each([
      [fixtures.WrongRule, /^WrongRule\.typo: .*"idempotant"/],
      [fixtures.HeadAlone, /^HeadAlone\.probe: HEAD probe: a policy is not for HEAD or OPTIONS alone/],
      [fixtures.OptionsAlone, /^OptionsAlone\.asked: OPTIONS asked: a policy is not for HEAD or OPTIONS alone/],
      [fixtures.CachedWrite, /^CachedWrite\.write: POST \/: "cached" is for GET and HEAD$/],
      [fixtures.OwnResponse, /^OwnResponse\.answers: @Transactional\(\) answers with the returned value/],
    ] as const)('by a wrong policy of %o', async (controller, message) => {
      const http = createHttp({ db })
      await expect(serve(KeelsonModule.forRoot({ http }), { controllers: [controller] })).rejects.toMatchObject({
        code: 'OPTION_INVALID',
        message: expect.stringMatching(message),
      })
    })
  })

  it('a testing module has it all: the bytes of bodies too', async () => {
    const http = createHttp({ idempotency: createIdempotency({ store: memoryStore() }), scope: () => 'm1' })
    const compiled = await Test.createTestingModule({
      imports: [KeelsonModule.forRoot({ http, problems: 'all' })],
      controllers: [Echo],
    }).compile()
    const app = compiled.createNestApplication(platform.adapter() as never, { logger: false })
    await app.listen(0, '127.0.0.1')
    const post = (body: string): Promise<Response> =>
      app.getUrl().then((url) =>
        fetch(`${url.replace('[::1]', '127.0.0.1')}/echo`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'idempotency-key': 'k' },
          body,
        }),
      )
    const answers = [await post('{"a":1}'), await post('{"a":1}'), await post('{"a":2}')]
    await app.close()
    expect(answers.map(({ status, headers }) => [status, headers.get('idempotent-replayed')])).toEqual([
      [201, null],
      [201, 'true'],
      [422, null],
    ])
  })

  it.each([
    ['/ops', '/ops'],
    ['/t/:tenant/ops', '/t/m%201/ops'],
    ['/:tenant', '/m1'],
  ])('an API is mounted at %s, and what it throws is a problem with one line', async (prefix, place) => {
    const logger = recordingLogger()
    const one = await start(platform, rootOf(KeelsonModule.forRoot({ http: createHttp({ logger }) })), (app) =>
      mountApi(app, prefix, async (request) => {
        const { pathname } = new URL(request.url)
        if (pathname === '/bug') throw new Error('a bug')
        return Response.json(pathname)
      }),
    )
    running.push(one)
    const seen = []
    for (const path of ['', '/', '/a', '/a/b']) seen.push(await (await fetch(one.url + place + path)).json())
    expect(seen).toEqual(['/', '/', '/a', '/a/b'])
    const failed = await fetch(`${one.url}${place}/bug`)
    expect([failed.status, await failed.json()]).toEqual([500, expect.objectContaining({ code: 'internal-error' })])
    expect(logger.errors).toMatchObject([{ err: { message: 'a bug' } }])
  })

  it('with @Res({ passthrough: true }) a transactional handler still sets headers', async () => {
    const database = {
      ...db,
      transaction: async <T>(work: (tx: typeof db) => Promise<T>): Promise<T> => work(db),
    }
    const { url } = await serve(KeelsonModule.forRoot({ http: createHttp({ db: database }) }), {
      controllers: [fixtures.PassedThrough],
    })
    const answer = await fetch(`${url}/right`, { method: 'POST' })
    expect([answer.status, answer.headers.get('x-own'), await answer.json()]).toEqual([200, 'yes', { fine: true }])
  })

  it.each([
    ['forRoot', false],
    ['forRootAsync', true],
  ] as const)('the end of the application closes http; of %s the components: %s', async (how, areClosed) => {
    const { components, idempotency } = parts()
    const http = createHttp({ idempotency, scope: () => 'm1' })
    const closed: string[] = []
    const { close } = idempotency
    Object.assign(idempotency, { close: () => (closed.push('idempotency'), close()) })
    const { close: closeHttp } = http
    Object.assign(http, { close: () => (closed.push('http'), closeHttp()) })
    const options = { http, components: { idempotency: components.idempotency } }
    const one = await start(
      platform,
      rootOf(
        how === 'forRoot'
          ? KeelsonModule.forRoot(options)
          : KeelsonModule.forRootAsync({ tokens: [KEELSON_IDEMPOTENCY], useFactory: () => options }),
      ),
    )
    await one.close()
    expect(closed).toEqual(areClosed ? ['http', 'idempotency'] : ['http'])
  })

  if (platform.platform === 'Fastify')
    it('what is stored is not compressed, whoever asks first', async () => {
      const logger = recordingLogger()
      const http = createHttp({
        idempotency: createIdempotency({ store: memoryStore() }),
        scope: () => 'm1',
        logger,
      })
      const one = await start(platform, rootOf(KeelsonModule.forRoot({ http }), [Echo]), async (app) => {
        await (app as NestFastifyApplication).register(compress as never)
      })
      running.push(one)
      const post = (coding: string): Promise<Response> =>
        fetch(`${one.url}/echo`, { method: 'POST', headers: { 'idempotency-key': 'z', 'accept-encoding': coding } })
      const answers = [await post('gzip'), await post('identity'), await post('gzip')]
      const texts = await Promise.all(answers.map((answer) => answer.text()))
      expect(answers.map(({ headers }) => headers.get('idempotent-replayed'))).toEqual([null, 'true', 'true'])
      expect(answers[0]!.headers.get('content-encoding')).toBe('gzip')
      expect(new Set(texts).size).toBe(1)
      expect(logger.warnings).toEqual([])
    })

  function rootOf(keelson: DynamicModule, controllers: Type[] = []): Type {
    class App {}
    Module({ imports: [keelson], controllers })(App)
    return App
  }
})
