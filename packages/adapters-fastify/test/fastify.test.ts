import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { Readable, Transform } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { PGlite } from '@electric-sql/pglite'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { keelson, transaction, type KeelsonOptions } from '@keelson/fastify'
import { created, createHttp, problem, type FetchHandler, type HttpOptions, type RoutePolicy } from '@keelson/http'
import { createIdempotency, memoryStore, type TransactionalIdempotency } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { context } from '@keelson/kernel'
import { migrate } from '@keelson/kernel/postgres'
import { recordingLogger } from '../../http/test/support.ts'
import { open, post, send } from '../../http/test/wire.ts'

const running: FastifyInstance[] = []
afterEach(async () => {
  for (const app of running.splice(0)) await app.close()
})

let logger: ReturnType<typeof recordingLogger>
const httpWith = (options: HttpOptions = {}) => {
  logger = recordingLogger()
  const idempotency = createIdempotency({ store: memoryStore(), wait: '1m' })
  return createHttp({ idempotency, scope: () => 'm1', logger, ...options })
}

/** An application with the plugin and routes behind it. */
async function start(
  build: (app: FastifyInstance) => unknown,
  { http = {}, logs = [], ...o }: { http?: HttpOptions; problems?: KeelsonOptions['problems']; logs?: string[] } = {},
): Promise<number> {
  const logger = { level: 'warn', stream: { write: (line: string) => void logs.push(line) } }
  const app = Fastify({ forceCloseConnections: true, logger })
  running.push(app)
  await app.register(keelson, { http: httpWith(http), ...(o.problems === undefined ? {} : { problems: o.problems }) })
  await build(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return portOf(app)
}
const portOf = (app: FastifyInstance): number => (app.server.address() as AddressInfo).port
const keyed = { keelson: { idempotent: {} } }

describe('at the start', () => {
  const bad: [string, unknown][] = [
    ['an unknown rule', { idempotnt: {} }],
    ['a missing database', { transactional: true }],
    ['a bad value', { deadline: 'soon' }],
  ]
  it.each(bad)('%s in a policy stops it and names the route', async (_, policy) => {
    const app = Fastify()
    running.push(app)
    await app.register(keelson, { http: httpWith() })
    const add = (): unknown => app.post('/orders/:id', { config: { keelson: policy as RoutePolicy } }, async () => 1)
    expect(add).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(/^POST \/orders\/:id: /) }),
    )
  })

  it.each([['HEAD'], ['OPTIONS'], [['HEAD', 'OPTIONS']]])(
    'a policy on a route for %s alone stops it',
    async (method) => {
      const app = Fastify()
      running.push(app)
      await app.register(keelson, { http: httpWith() })
      app.get('/orders', { config: { keelson: { idempotent: {} } } }, async () => 1)
      for (const url of ['/probe', '/orders']) {
        const add = (): unknown => app.route({ method, url, config: keyed, handler: async () => 1 })
        expect(add).toThrow(
          expect.objectContaining({
            code: 'OPTION_INVALID',
            message: expect.stringMatching(
              `${[method].flat().join(' and ')} ${url}: a policy is not for HEAD or OPTIONS`,
            ),
          }),
        )
      }
    },
  )

  it('routes for HEAD that Fastify makes of a GET have its policy, wherever that stands', async () => {
    let runs = 0
    const port = await start(async (app) => {
      const shop = async (inner: FastifyInstance): Promise<void> => {
        inner.get('/', { config: keyed }, async () => ++runs)
        inner.get('/:id/', { config: { ...keyed } }, async () => ++runs)
        inner.route({ method: ['GET', 'POST'], url: '/both', config: keyed, handler: async () => ++runs })
      }
      // As tracing does it.
      app.addHook('onRoute', (options) => {
        const { handler } = options
        options.handler = function (...args) {
          return handler.apply(this, args)
        }
      })
      await app.register(shop, { prefix: '/shop' })
      await app.register(shop)
    })
    for (const path of ['/shop', '/shop/', '/shop/7/', '/shop/both', '/', '/7/', '/both']) {
      const ask = () => send(port, { method: 'HEAD', path, headers: [['Idempotency-Key', `k-${path}`]] })
      const [first, again] = [await ask(), await ask()]
      expect([first.status, again.status, again.header('idempotent-replayed')], path).toEqual([200, 200, 'true'])
    }
    expect(runs).toBe(7)
  })

  it.each<[string, object]>([
    ['without http', {}],
    ['http of something else', { http: {} }],
    ['an unknown option', { http: createHttp(), problem: 'all' }],
    ['another word for problems', { http: createHttp(), problems: 'some' }],
  ])('%s is refused', async (_, options) => {
    const app = Fastify()
    running.push(app)
    await expect(app.register(keelson, options as never)).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  })

  it('twice is a warning, and the first one holds', async () => {
    const lines: string[] = []
    const app = Fastify({
      forceCloseConnections: true,
      logger: { level: 'warn', stream: { write: (line: string) => void lines.push(line) } },
    })
    running.push(app)
    await app.register(keelson, { http: httpWith() })
    await app.register(keelson, { http: createHttp() })
    app.post('/orders', { config: keyed }, async () => 'ok')
    await app.listen({ port: 0, host: '127.0.0.1' })
    expect(lines.join()).toContain('registered twice')
    expect((await post(portOf(app), 'key-1', {})).status).toBe(200)
  })

  it('a route in front of the plugin is a 500 that says so, never one without its rules', async () => {
    const app = Fastify({ forceCloseConnections: true })
    running.push(app)
    app.register(keelson, { http: httpWith() }) // without await
    let runs = 0
    app.post('/orders', { config: keyed }, async () => ++runs)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const answer = await post(portOf(app), 'key-1', {})
    expect([answer.status, runs]).toEqual([500, 0])
    expect(answer.body.toString()).toContain('await app.register(keelson')
  })

  const infra = async (inner: FastifyInstance): Promise<void> => {
    await inner.register(keelson, { http: httpWith() })
    inner.post('/inside', { config: keyed }, async () => 'inside')
  }
  const outside = expect.objectContaining({
    code: 'OPTION_INVALID',
    message: expect.stringMatching(/^POST \/orders is outside of the plugin/),
  })

  it('a route outside of the plugin that has a policy stops it: around it, beside it, deep beside it', async () => {
    const around = Fastify()
    const beside = Fastify()
    const deep = Fastify()
    running.push(around, beside, deep)
    const add = (app: FastifyInstance): unknown => app.post('/orders', { config: keyed }, async () => 1)
    await around.register(async (outer) => {
      await outer.register(infra)
    })
    expect(() => add(around)).toThrow(outside)
    beside.register(infra)
    beside.register(async (inner) => void add(inner))
    await expect(beside.ready()).rejects.toEqual(outside)
    deep.register(async (outer) => {
      await outer.register(infra)
      await outer.register(async (inner) => void add(inner))
    })
    await expect(deep.ready()).rejects.toEqual(outside)
  })

  it('one that was added there before the plugin is a 500 that says so, and nobody else’s is', async () => {
    const app = Fastify({ forceCloseConnections: true })
    running.push(app)
    let runs = 0
    app.post('/orders', { config: keyed }, async () => ++runs)
    app.post('/plain', { config: { other: true } as object }, async () => 'plain')
    app.register(infra)
    app.register(infra, { prefix: '/again' })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const refused = await post(portOf(app), 'key-1', {})
    expect([refused.status, runs]).toEqual([500, 0])
    expect(refused.body.toString()).toContain('is outside of the plugin')
    for (const path of ['/plain', '/inside', '/again/inside']) {
      expect((await post(portOf(app), 'key-1', {}, { path })).status, path).toBe(200)
    }
  })

  it('what Fastify refuses before any hook has no ids, unless the application answers it', async () => {
    const app = Fastify({ forceCloseConnections: true })
    running.push(app)
    await app.register(keelson, { http: httpWith(), problems: 'all' })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const answer = await send(portOf(app), { path: '/%zz' })
    expect([answer.status, answer.header('x-correlation-id'), answer.json()['code']]).toEqual([
      400,
      undefined,
      'FST_ERR_BAD_URL',
    ])
  })
})

describe('a route', () => {
  it('obeys its rules in their order: early ones before authentication and body, late ones after all hooks', async () => {
    const order: string[] = []
    const see = (name: string) => async () => void order.push(name)
    const port = await start(
      async (app) => {
        app.addHook('onRequest', see('onRequest of the application'))
        app.addHook('preHandler', see('preHandler of the application'))
        app.post(
          '/orders',
          {
            config: { keelson: { idempotent: { operation: 'o' }, allowIps: ['127.0.0.0/8'] } },
            onRequest: see('onRequest'),
            preHandler: [see('preHandler')],
            onSend: async () => void order.push('onSend'),
          },
          async () => (order.push('handler'), 'ok'),
        )
      },
      { http: { scope: () => (order.push('late'), 'm1') } },
    )
    await post(port, 'key-1', {})
    expect(order.filter((name, i) => order.indexOf(name) === i)).toEqual([
      'onRequest of the application',
      'onRequest',
      'preHandler of the application',
      'preHandler',
      'late',
      'handler',
      'onSend',
    ])
  })

  it('that refuses an address does so before authentication and without its body', async () => {
    let runs = 0
    const port = await start((app) => {
      app.addHook('onRequest', async () => void runs++)
      app.post('/orders', { config: { keelson: { allowIps: ['10.0.0.0/8'] } } }, async () => runs++)
    })
    const answer = await post(port, undefined, {})
    expect([answer.status, answer.json()['code'], runs]).toEqual([403, 'address-refused', 0])
  })

  it('with a failed validation leaves no record', async () => {
    let runs = 0
    const schema = { body: { type: 'object', required: ['sku'] } }
    const port = await start((app) => void app.post('/orders', { config: keyed, schema }, async () => ++runs))
    expect((await post(port, 'key-1', {})).status).toBe(400)
    expect((await post(port, 'key-1', { sku: 'a' })).body.toString()).toBe('1')
  })

  it('keeps what onSend hooks of the application make of an answer', async () => {
    const port = await start((app) => {
      app.addHook('onSend', async (_request, reply, payload) => {
        reply.header('x-wrapped', 'yes')
        return `{"data":${String(payload)}}`
      })
      app.post('/orders', { config: keyed }, async () => ({ id: 7 }))
    })
    const [first, again] = [await post(port, 'key-1', {}), await post(port, 'key-1', {})]
    expect(again.header('idempotent-replayed')).toBe('true')
    for (const one of [first, again]) {
      expect([one.status, one.body.toString(), one.header('x-wrapped')]).toEqual([200, '{"data":{"id":7}}', 'yes'])
    }
  })

  it('keeps headers that hooks set before it on answers in its place', async () => {
    const port = await start((app) => {
      app.addHook('onRequest', async (_request, reply) => void reply.header('access-control-allow-origin', '*'))
      app.post('/orders', { config: keyed }, async () => 'ok')
    })
    await post(port, 'key-1', {})
    const again = await post(port, 'key-1', {})
    expect(again.lines.filter(([name]) => name === 'access-control-allow-origin')).toEqual([
      ['access-control-allow-origin', '*'],
    ])
  })

  it('of a plugin has its rules there, and nobody else', async () => {
    const app = Fastify({ forceCloseConnections: true })
    running.push(app)
    await app.register(async (inner) => {
      await inner.register(keelson, { http: httpWith() })
      inner.post('/inside', { config: keyed }, async () => 'inside')
    })
    app.post('/outside', async () => 'outside')
    await app.listen({ port: 0, host: '127.0.0.1' })
    expect((await post(portOf(app), 'key-1', {}, { path: '/inside' })).header('x-correlation-id')).toBeDefined()
    const outside = await post(portOf(app), 'key-1', {}, { path: '/outside' })
    expect([outside.status, outside.header('x-correlation-id')]).toEqual([200, undefined])
    expect(app.hasDecorator('keelson')).toBe(false)
  })

  it('behind a decompressing preParsing hook counts the bytes as received', async () => {
    const port = await start((app) => {
      app.addHook('preParsing', async (_request, _reply, payload) => {
        const shout = new Transform({
          transform: (chunk, _encoding, done) => done(null, String(chunk).replace('b', 'x')),
        })
        return payload.pipe(Object.assign(shout, { receivedEncodedLength: 0 }))
      })
      app.post('/orders', { config: keyed }, async (request) => request.body)
    })
    expect((await post(port, 'key-1', { a: 'b' })).json()).toEqual({ a: 'x' })
    expect((await post(port, 'key-1', { a: 'x' })).json()['code']).toBe('key-reused')
    expect((await post(port, 'key-1', { a: 'b' })).header('idempotent-replayed')).toBe('true')
  })

  it('works by inject(), without a socket', async () => {
    const app = Fastify()
    running.push(app)
    await app.register(keelson, { http: httpWith() })
    let runs = 0
    app.post('/orders', { config: keyed }, async (_request, reply) => reply.code(201).send({ run: ++runs }))
    const ask = () =>
      app.inject({ method: 'POST', url: '/orders?a=1', headers: { 'idempotency-key': 'k1' }, payload: { a: 1 } })
    const [first, again] = [await ask(), await ask()]
    expect([first.statusCode, first.json(), again.statusCode, again.json()]).toEqual([201, { run: 1 }, 201, { run: 1 }])
    expect(again.headers['idempotent-replayed']).toBe('true')
  })

  it('is a template in the log, also behind a prefix', async () => {
    const port = await start(
      (app) =>
        app.register(async (inner) => void inner.post('/orders/:id', async () => Promise.reject(new Error('boom'))), {
          prefix: '/v1',
        }),
      { problems: 'all' },
    )
    await post(port, undefined, {}, { path: '/v1/orders/7' })
    expect(logger.errors).toMatchObject([{ route: '/v1/orders/:id' }])
  })
})

describe('the context', () => {
  it('is around hooks, parsers, the handler with tenant and principal, and onResponse', async () => {
    const seen: [string, unknown, unknown, unknown][] = []
    const over = Promise.withResolvers<void>()
    const see = (where: string): void => {
      const { correlationId, tenant, principal } = context.get() ?? {}
      seen.push([where, correlationId, tenant, principal?.id])
    }
    const port = await start(
      (app) => {
        app.addHook('preParsing', async () => see('preParsing'))
        app.addHook('preValidation', async () => see('preValidation'))
        app.addHook('onSend', async () => see('onSend'))
        app.addHook('onResponse', async () => (see('onResponse'), over.resolve()))
        app.post('/orders', { config: { keelson: {} } }, async (request) => {
          see('handler')
          await sleep(1)
          see('after a timer')
          expect(request.keelson.context).toBe(context.get())
          return 'ok'
        })
      },
      { http: { principal: () => ({ id: 'ann' }) } },
    )
    const id = (await post(port, undefined, {})).header('x-correlation-id')
    await over.promise
    expect(seen).toEqual([
      ['preParsing', id, undefined, undefined],
      ['preValidation', id, undefined, undefined],
      ['handler', id, 'm1', 'ann'],
      ['after a timer', id, 'm1', 'ann'],
      ['onSend', id, 'm1', 'ann'],
      ['onResponse', id, expect.anything(), expect.anything()],
    ])
  })
})

describe('errors', () => {
  const fall = (app: FastifyInstance): void => {
    app.get('/problem', async () => Promise.reject(problem(409, 'sold-out')))
    app.get('/error', async () => Promise.reject(new Error('boom')))
    app.get('/string', async () => Promise.reject('boom'))
    app.get('/4xx', async () => Promise.reject(Object.assign(new Error('no tea'), { statusCode: 418 })))
  }
  const ask = async (port: number, ...paths: string[]): Promise<unknown[]> => {
    const answers = []
    for (const path of paths) {
      const answer = await send(port, { path })
      answers.push([answer.status, answer.header('content-type')?.split(';')[0]])
    }
    return answers
  }

  it("of Keelson are problems, all others Fastify's, unless it is said otherwise", async () => {
    const port = await start(fall)
    expect(await ask(port, '/problem', '/error', '/string', '/4xx', '/none')).toEqual([
      [409, 'application/problem+json'],
      [500, 'application/json'],
      [500, 'text/plain'],
      [418, 'application/json'],
      [404, 'application/json'],
    ])
  })

  it("'all' are problems, 404 too; each thrown one is one line", async () => {
    const port = await start(fall, { problems: 'all' })
    expect(await ask(port, '/problem', '/error', '/string', '/4xx', '/none')).toEqual(
      [409, 500, 500, 418, 404].map((status) => [status, 'application/problem+json']),
    )
    expect(logger.errors).toHaveLength(2)
  })

  it('wait for a handler of their route that answers by a callback', async () => {
    const port = await start((app) => {
      const errorHandler = (error: Error, _request: FastifyRequest, reply: FastifyReply): void =>
        void setImmediate(() => reply.code(502).send(`mine: ${error.message}`))
      app.get('/', { errorHandler }, async () => Promise.reject(new Error('boom')))
    })
    const answer = await send(port)
    expect([answer.status, answer.body.toString()]).toEqual([502, 'mine: boom'])
  })

  it.each(['keelson', 'all'] as const)(
    'with %s, handlers of a route, a plugin and the application get the rest',
    async (problems) => {
      const told: string[] = []
      const port = await start(
        async (app) => {
          if (problems === 'keelson') {
            app.setErrorHandler((error, _request, reply) => {
              told.push(`application: ${(error as Error).message}`)
              return reply.code(503).send('mine')
            })
          }
          fall(app)
          const errorHandler = (error: Error): never => {
            told.push(`route: ${error.message}`)
            throw error
          }
          await app.register(
            async (inner) => {
              inner.setErrorHandler((error, _request, reply) => {
                told.push(`plugin: ${(error as Error).message}`)
                return reply.code(502).send('mine')
              })
              inner.get('/problem', { errorHandler }, async () => Promise.reject(problem(409, 'sold-out')))
              inner.get('/error', { errorHandler }, async () => Promise.reject(new Error('boom')))
            },
            { prefix: '/inner' },
          )
        },
        { problems },
      )
      expect(await ask(port, '/inner/problem', '/inner/error')).toEqual([
        [409, 'application/problem+json'],
        [502, 'text/plain'],
      ])
      expect(told).toEqual(['route: boom', 'plugin: boom'])
      if (problems === 'all') return
      expect(await ask(port, '/error')).toEqual([[503, 'text/plain']])
      expect(told).toContain('application: boom')
    },
  )

  it('under a key count as the answer that was made of them', async () => {
    let runs = 0
    const port = await start((app) => {
      app.setErrorHandler((_error, _request, reply) => reply.code(422).send({ refused: ++runs }))
      app.post('/orders', { config: keyed }, async () => Promise.reject(new Error('no')))
    })
    const [first, again] = [await post(port, 'key-1', {}), await post(port, 'key-1', {})]
    expect([first.status, again.status, again.header('idempotent-replayed')]).toEqual([422, 422, 'true'])
    expect(again.body).toEqual(first.body)
  })

  it('behind an answer that is held are told, and hurt nobody', async () => {
    const logs: string[] = []
    const port = await start(
      (app) =>
        app.post('/orders', { config: keyed }, async (_request, reply) => {
          reply.send({ id: 7 })
          throw new Error('too late')
        }),
      { problems: 'all', logs },
    )
    const [first, again] = [await post(port, 'key-1', {}), await post(port, 'key-1', {})]
    expect([first.status, again.status, again.json()]).toEqual([200, 200, { id: 7 }])
    expect(logger.errors).toHaveLength(1)
    expect(logs).toEqual([])
  })

  it('are answered although the reply has a header that node:http refuses', async () => {
    const port = await start(
      (app) => {
        app.get('/file', { config: keyed }, async (_request, reply) => {
          reply.header('content-disposition', 'attachment; filename="\u6587.txt"')
          throw problem(404, 'no-such-file')
        })
        app.get('/own', async (_request, reply) => {
          reply.header('content-disposition', 'attachment; filename="\u6587.txt"')
          return 'text'
        })
      },
      { problems: 'all' },
    )
    expect((await send(port, { method: 'GET', path: '/file' })).json()['code']).toBe('no-such-file')
    expect((await send(port, { method: 'GET', path: '/own' })).json()['code']).toBe('internal-error')
  })

  it('of nothing at all are errors too, not 404', async () => {
    const port = await start((app) => app.post('/orders', { config: keyed }, () => Promise.reject()), {
      problems: 'all',
    })
    expect((await post(port, 'key-1', {})).status).toBe(500)
    expect(logger.errors).toHaveLength(1)
  })

  it('of Keelson after a hijack end the connection or are answered, never left hanging', async () => {
    const port = await start((app) => {
      app.keelson.mount('/api', async () => Promise.reject(new Error('a bug')))
    })
    expect((await send(port, { path: '/api' })).json()['code']).toBe('internal-error')
  })
})

describe('a transactional route', () => {
  let db: PGlite
  let idempotency: TransactionalIdempotency
  beforeAll(async () => {
    db = new PGlite()
    const store = postgresStore(db)
    idempotency = createIdempotency({ store, storeTimeout: '10s' })
    await migrate(db, [store])
    await db.query('create table orders (id serial primary key, sku text)')
  })
  afterAll(() => db.close())
  const rows = async (): Promise<number> =>
    (await db.query<{ n: number }>('select count(*)::int as n from orders')).rows[0]!.n
  type Order = FastifyRequest<{ Body: { sku: string } }>

  it('answers by the framework: its onSend hooks see first answers and repeats', async () => {
    const port = await start(
      (app) => {
        app.addHook('onSend', async (_request, reply) => void reply.header('set-cookie', 'seen=1'))
        app.addHook('onRequest', async (_request, reply) => void reply.header('set-cookie', 'early=1'))
        const handler = async () => created({ id: 1 }, [], [['set-cookie', 'own=1']])
        app.route({ method: 'POST', url: '/orders', ...transaction({ idempotent: {} }, handler) })
      },
      { http: { db, idempotency } },
    )
    const answers = [await post(port, 'key-hooks', {}), await post(port, 'key-hooks', {})]
    const cookies = answers.map(({ lines }) => lines.filter(([name]) => name.toLowerCase() === 'set-cookie'))
    expect(cookies.map((lines) => lines.map(([, value]) => value))).toEqual([
      ['early=1', 'own=1', 'seen=1'],
      ['early=1', 'seen=1'],
    ])
    expect(answers[1]!.body).toEqual(answers[0]!.body)
  })

  it('commits its rows and its answer at once; a repeat has the same bytes', async () => {
    const before = await rows()
    const port = await start(
      (app) =>
        app.route({
          method: 'POST',
          url: '/orders',
          ...transaction({ idempotent: {} }, async function (request: Order, tx, op) {
            expect([this.version, op.scope, request.keelson.tx]).toEqual([app.version, 'm1', tx])
            const { rows } = await tx.query('insert into orders (sku) values ($1) returning sku', [request.body.sku])
            return created(rows[0])
          }),
        }),
      { http: { db, idempotency } },
    )
    const [first, again] = [await post(port, 'key-1', { sku: 'a' }), await post(port, 'key-1', { sku: 'a' })]
    expect([first.status, first.json(), again.status, again.header('idempotent-replayed')]).toEqual([
      201,
      { sku: 'a' },
      201,
      'true',
    ])
    expect(again.body).toEqual(first.body)
    expect(await rows()).toBe(before + 1)
  })

  it.each<[string, (reply: FastifyReply) => unknown]>([
    ['sends its answer', (reply) => reply.send({})],
    ['sends it, and returns a value', (reply) => (reply.send({}), {})],
    ['sends it past the framework', (reply) => reply.raw.end('sent')],
    ['hijacks its reply', (reply) => void reply.hijack().raw.writeHead(201).end('sent')],
    ['returns its reply', (reply) => reply],
    ['throws', () => Promise.reject(new Error('boom'))],
  ])('that %s commits nothing and is a 500', async (_, end) => {
    const before = await rows()
    const port = await start(
      (app) =>
        app.post('/orders', { config: { keelson: { transactional: true } } }, async (request, reply) => {
          await request.keelson.tx!.query("insert into orders (sku) values ('x')")
          return end(reply)
        }),
      { http: { db, idempotency }, problems: 'all' },
    )
    const answer = await post(port, undefined, {})
    expect([answer.status, answer.header('content-type')]).toEqual([500, 'application/problem+json'])
    expect(await rows()).toBe(before)
  })
})

describe('an API that is mounted', () => {
  const echo: FetchHandler = async (request, info) => {
    const { pathname, search } = new URL(request.url)
    return Response.json(
      { pathname, search, body: await request.text(), ...info, id: context.get()?.correlationId },
      { status: 203 },
    )
  }

  it.each([
    ['/ops', '/', ''],
    ['/ops/', '/', ''],
    ['/ops?a=1', '/', '?a=1'],
    ['/ops/status/x?a=/1', '/status/x', '?a=/1'],
  ])('sees of %s only %s, inside the request’s context', async (path, pathname, search) => {
    const port = await start((app) => app.keelson.mount('/ops/', echo))
    const answer = await send(port, { path })
    const id = answer.header('x-correlation-id')
    expect(answer.json()).toEqual({ pathname, search, body: '', remoteAddress: '127.0.0.1', id })
    expect(answer.status).toBe(203)
  })

  it('stands at the root, behind a prefix of its plugin, and behind parameters', async () => {
    const root = await start((app) => app.keelson.mount('/', echo))
    expect((await send(root, { path: '/a/b' })).json()['pathname']).toBe('/a/b')
    const deep = await start((app) =>
      app.register(async (inner) => inner.keelson.mount('/t/:tenant/ops', echo), { prefix: '/v1' }),
    )
    expect((await send(deep, { path: '/v1/t/m%201/ops/a' })).json()['pathname']).toBe('/a')
  })

  it.each([
    ['/:tenant', ['/m%201', '/m%201/', '/m%201/a', '/m%201/a/b?c=/d']],
    ['/v1/:tenant', ['/v1/m1', '/v1/m1/', '/v1/m1/a', '/v1/m1/a/b?c=/d']],
    ['/v1/', ['/v1/', '/v1/', '/v1/a', '/v1/a/b?c=/d']],
  ])('stands at the root of a plugin behind %s, that place itself too', async (prefix, paths) => {
    const port = await start((app) => app.register(async (inner) => inner.keelson.mount('/', echo), { prefix }))
    const seen = []
    for (const path of paths) {
      const { pathname, search } = (await send(port, { path })).json()
      seen.push(`${String(pathname)}${String(search)}`)
    }
    expect(seen).toEqual(['/', '/', '/a', '/a/b?c=/d'])
  })

  it('gets any method and any body as it was sent, and other routes keep their parsers', async () => {
    const port = await start((app) => {
      app.keelson.mount('/ops', echo)
      app.post('/orders', async (request) => request.body)
    })
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const headers = [['Content-Type', 'application/json']] as const
      expect((await send(port, { method, path: '/ops', headers, body: '{ broken' })).json()['body']).toBe('{ broken')
    }
    expect((await send(port, { method: 'HEAD', path: '/ops' })).status).toBe(203)
    expect((await post(port, undefined, { a: 1 })).json()).toEqual({ a: 1 })
  })

  it('stands behind the hooks of its application, whose headers stay', async () => {
    const port = await start((app) => {
      app.addHook('onRequest', async (request, reply) => {
        reply.header('access-control-allow-origin', '*')
        if (request.headers.authorization === undefined) return reply.code(401).send('who?')
        return undefined
      })
      app.keelson.mount('/ops', echo)
    })
    expect((await send(port, { path: '/ops' })).status).toBe(401)
    const answer = await send(port, { path: '/ops', headers: [['Authorization', 'x']] })
    expect([answer.status, answer.header('access-control-allow-origin')]).toEqual([203, '*'])
  })

  it('streams, and hears its client leave', async () => {
    const cancelled = Promise.withResolvers<void>()
    const events = (): ReadableStream =>
      new ReadableStream({
        start: (controller) => controller.enqueue(Buffer.from('data: 1\n\n')),
        cancel: () => cancelled.resolve(),
      })
    const port = await start((app) =>
      app.keelson.mount(
        '/events',
        async () => new Response(events(), { headers: { 'Content-Type': 'text/event-stream' } }),
      ),
    )
    const socket = open(port, { path: '/events' }, 0)
    let text = ''
    socket.on('data', (chunk) => (text += String(chunk)))
    while (!text.includes('data: 1')) await once(socket, 'data')
    socket.destroy()
    await cancelled.promise
  })
})

it('drains: the answer under way says goodbye, then nobody is served', async () => {
  const begun = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  let drain!: (signal: AbortSignal) => Promise<void>
  const port = await start((app) => {
    drain = app.keelson.shutdown().drain
    app.get('/', async () => {
      begun.resolve()
      await go.promise
      return 'whole'
    })
  })
  const socket = connect(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nHost: t\r\n\r\n')
  let text = ''
  socket.on('data', (chunk) => (text += String(chunk)))
  await begun.promise
  const drained = drain(new AbortController().signal)
  go.resolve()
  await Promise.all([drained, once(socket, 'close')])
  expect(text).toMatch(/Connection: close[\s\S]*whole$/i)
  expect(await once(connect(port, '127.0.0.1'), 'error')).toMatchObject([{ code: 'ECONNREFUSED' }])
})

it('answers what is injected, with a key and without a payload', async () => {
  const app = Fastify()
  running.push(app)
  await app.register(keelson, { http: httpWith() })
  app.post('/orders', { config: keyed }, async () => ({ id: 1 }))
  app.get('/orders', { config: keyed }, async () => ({ id: 2 }))
  for (const method of ['POST', 'GET'] as const) {
    const ask = () => app.inject({ method, url: '/orders', headers: { 'idempotency-key': 'key-1' } })
    const [first, again] = [await ask(), await ask()]
    expect([first.statusCode, again.statusCode, again.body]).toEqual([200, 200, first.body])
    expect(again.headers['idempotent-replayed']).toBe('true')
  }
})

it.each<[string, number, boolean, (reply: FastifyReply) => unknown]>([
  ['text of another length than it said, which Fastify sets right', 10, true, (reply) => reply.send('half')],
  ['bytes of another length than they said', 10, true, (reply) => reply.send(Buffer.from('half'))],
  ['a stream that is shorter than it said', 10, false, (reply) => reply.send(Readable.from(['half']))],
  ['a stream as long as it said', 4, true, (reply) => reply.send(Readable.from(['half']))],
  [
    'a hijacked answer that is shorter than it said',
    10,
    false,
    (reply) => {
      reply.hijack().raw.writeHead(200, { 'Content-Length': 10 }).end('half')
    },
  ],
])('a repeat of %s', async (_, length, isKept, answer) => {
  let runs = 0
  const port = await start((app) => {
    app.post('/orders', { config: keyed }, (request, reply) => {
      runs++
      // What is too short leaves its connection open.
      reply.raw.once('finish', () => request.socket.end())
      answer(reply.header('Content-Length', length))
    })
  })
  await post(port, 'k', {})
  const again = await post(port, 'k', {})
  expect([again.body.toString(), again.header('idempotent-replayed'), runs]).toEqual([
    'half',
    isKept ? 'true' : undefined,
    isKept ? 1 : 2,
  ])
})

it('events that are written past the framework spend their key: they do not run again', async () => {
  let runs = 0
  const port = await start((app) =>
    app.post('/orders', { config: keyed }, async (_request, reply) => {
      runs++
      reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
      reply.raw.end('data: 1\n\n')
      return reply
    }),
  )
  const [first, again] = [await post(port, 'key-1', {}), await post(port, 'key-1', {})]
  expect([first.status, again.status, again.json()['code'], runs]).toEqual([200, 409, 'answer-not-retained', 1])
})

it.each(['at once', 'behind its head', 'and returns a value'])(
  'an answer that its handler breaks off by reply.raw.destroy() %s frees its key',
  async (how) => {
    let runs = 0
    const port = await start((app) =>
      app.post('/orders', { config: keyed }, async (_request, reply) => {
        if (++runs > 1) return 'whole'
        if (how === 'behind its head') reply.raw.writeHead(200).flushHeaders()
        reply.raw.destroy()
        return how === 'and returns a value' ? 'late' : reply
      }),
    )
    await expect(post(port, 'key-1', {}).then(({ status }) => status)).resolves.not.toBe(409)
    const again = await post(port, 'key-1', {})
    expect([again.status, again.body.toString(), runs]).toEqual([200, 'whole', 2])
  },
)
