import { setTimeout as sleep } from 'node:timers/promises'
import type { Express, Request, RequestHandler, Response } from 'express'
import fc from 'fast-check'
import type { Pool } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createExpress, type KeelsonExpress } from '@keelson/express'
import {
  createHttp,
  created,
  parseIdempotencyKey,
  problem,
  reply,
  type Exchange,
  type HttpOptions,
} from '@keelson/http'
import { context, type Tx } from '@keelson/kernel'
import { databases, note, type TestDatabase } from '../../http/test/databases.ts'
import { malformedKeys } from '../../http/test/keys.ts'
import { recordingLogger } from '../../http/test/support.ts'
import { frameworks, open, post, send, serve, type Served } from './support.ts'

const UUIDV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const user = (req: Request): { id: string } | undefined => (req as { user?: { id: string } }).user

const subjects = frameworks.flatMap((framework) => databases.map((database) => ({ ...framework, ...database })))

describe.each(subjects)('$framework on $name', ({ express, open: openDatabase, name: databaseName }) => {
  let database: TestDatabase
  let before: { orders: number; noted: number; records: number }
  let logger: ReturnType<typeof recordingLogger>
  let served: Served | undefined
  let keys = 0

  beforeAll(async () => void (database = await openDatabase()))
  afterAll(() => database.close())
  beforeEach(async () => {
    logger = recordingLogger()
    before = await database.counts()
  })
  afterEach(async () => {
    await served?.close()
    served = undefined
  })

  const newKey = (): string => `key-${++keys}`
  const left = async (): Promise<{ orders: number; noted: number; records: number }> => {
    const { orders, noted, records } = await database.counts()
    return { orders: orders - before.orders, noted: noted - before.noted, records: records - before.records }
  }
  const insert = async (tx: Tx, sku = 'a'): Promise<{ id: number }> => {
    const { rows } = await tx.query('insert into orders (sku) values ($1) returning id', [sku])
    return rows[0] as { id: number }
  }
  const adapter = (options: HttpOptions = {}): KeelsonExpress =>
    createExpress(
      createHttp({
        db: database.db,
        idempotency: database.idempotency,
        scope: () => 'm1',
        principal: (x) => user(x.raw as Request),
        logger,
        ...options,
      }),
    )

  /** An application with the usual middleware around `routes`. */
  async function start(routes: (app: Express, k: KeelsonExpress) => void, options: HttpOptions = {}): Promise<number> {
    const k = adapter(options)
    const app = express()
    app.use(k.context(), express.json({ limit: '2mb' }), (req, _res, next) => {
      const id = req.get('x-user')
      if (id !== undefined) Object.assign(req, { user: { id } })
      next()
    })
    routes(app, k)
    app.use(k.errors())
    served = await serve(app)
    return served.port
  }
  const orders = (options: HttpOptions = {}): Promise<number> =>
    start((app, k) => {
      app.post(
        '/orders',
        k.transaction({ idempotent: {} }, async (req, tx) =>
          created(await insert(tx, req.body.sku), [note('created')]),
        ),
      )
    }, options)

  describe('a write under a key', () => {
    it('is replayed byte for byte: status, order and repeats of headers, body; cookies go out once', async () => {
      const port = await start((app, k) => {
        app.post(
          '/orders',
          k.transaction({ idempotent: { required: true } }, async (_req, tx) => {
            await insert(tx)
            return reply(
              207,
              Buffer.from([0, 1, 254, 255, 13, 10]),
              [],
              [
                ['X-Second', '2'],
                ['Link', '</a>; rel=a'],
                ['Set-Cookie', 'session=1'],
                ['Set-Cookie', 'theme=dark'],
                ['link', '</b>; rel=b'],
                ['Content-Type', 'application/x-parcel'],
                ['ETag', 'W/"1"'],
              ],
            )
          }),
        )
      })
      const key = newKey()
      const answers = [await post(port, key, {}), await post(port, `"${key}"`, {})]
      const own = answers.map(({ lines }) =>
        lines.filter(
          ([name]) => !/^(x-correlation-id|traceparent|x-response-time|date|x-powered-by|connection)$/i.test(name),
        ),
      )
      expect(answers.map(({ status }) => status)).toEqual([207, 207])
      expect(answers[1]!.body).toEqual(answers[0]!.body)
      expect(answers[0]!.body).toEqual(Buffer.from([0, 1, 254, 255, 13, 10]))
      expect(own[0]).toEqual([
        ['X-Second', '2'],
        ['Link', '</a>; rel=a'],
        ['Link', '</b>; rel=b'],
        ['Set-Cookie', 'session=1'],
        ['Set-Cookie', 'theme=dark'],
        ['Content-Type', 'application/x-parcel'],
        ['ETag', 'W/"1"'],
        ['Content-Length', '6'],
      ])
      expect(own[1]).toEqual([
        ...own[0]!.filter(([name]) => name !== 'Set-Cookie' && name !== 'Content-Length'),
        ['Idempotent-Replayed', 'true'],
        ['Content-Length', '6'],
      ])
      expect(answers[0]!.header('x-correlation-id')).not.toBe(answers[1]!.header('x-correlation-id'))
      for (const { lines } of answers) {
        for (const once of ['x-powered-by', 'traceparent', 'x-correlation-id']) {
          expect(lines.filter(([name]) => name.toLowerCase() === once)).toHaveLength(1)
        }
      }
      expect(await left()).toEqual({ orders: 1, noted: 0, records: 1 })
    })

    it('is 400 for each key that is none, and then nothing was executed and nothing stored', async () => {
      expect(malformedKeys.length).toBeGreaterThanOrEqual(30)
      const port = await orders()
      for (const { name, lines } of malformedKeys) {
        const headers = lines.map((line) => ['Idempotency-Key', line] as const)
        const answer = await post(port, undefined, { sku: 'a' }, { headers })
        expect(answer.status, name).toBe(400)
        // Node's own parser refuses control characters first.
        if (answer.body.length > 0)
          expect(answer.json(), name).toMatchObject({ code: 'key-malformed', retryable: false })
      }
      expect(await left()).toEqual({ orders: 0, noted: 0, records: 0 })
    })

    it('takes any header value as the grammar reads it, or answers 400', async () => {
      let seen: string[] = []
      const core = database.idempotency
      const port = await orders({
        idempotency: { ...core, transaction: (call, work) => (seen.push(call.key), core.transaction(call, work)) },
      })
      // What Node's parser lets through: no control character but the tab.
      const value = fc.string({ unit: fc.constantFrom(...'ab1"\\;=, \t.?%\u00e9\u00ff~'), maxLength: 12 })
      await fc.assert(
        fc.asyncProperty(value, async (line) => {
          seen = []
          let key: string | undefined
          try {
            key = parseIdempotencyKey([line.replaceAll(/^[ \t]+|[ \t]+$/g, '')])
          } catch {}
          const { status } = await post(port, undefined, { sku: 'a' }, { headers: [['Idempotency-Key', line]] })
          expect(key === undefined ? [400] : [201, key]).toEqual([status, ...seen])
        }),
        { numRuns: 150 },
      )
    })

    it('with another body, query or content type is 422', async () => {
      const port = await orders()
      const key = newKey()
      expect((await post(port, key, { sku: 'a' })).status).toBe(201)
      const others = [
        await post(port, key, { sku: 'b' }),
        await post(port, key, { sku: 'a' }, { path: '/orders?dry=1' }),
        await send(port, {
          method: 'POST',
          path: '/orders',
          headers: [
            ['Content-Type', 'application/vnd.x+json'],
            ['Idempotency-Key', key],
          ],
          body: '{"sku":"a"}',
        }),
      ]
      for (const other of others) {
        expect(other.status).toBe(422)
        expect(other.header('content-type')).toBe('application/problem+json')
        expect(other.json()).toMatchObject({ code: 'key-reused', instance: '/orders' })
        expect(other.json()['correlationId']).toBe(other.header('x-correlation-id'))
      }
      expect((await post(port, key, { sku: 'a' })).header('idempotent-replayed')).toBe('true')
      expect(await left()).toEqual({ orders: 1, noted: 1, records: 1 })
    })

    it('of two users of one tenant are two writes, unless the key is shared', async () => {
      const port = await start((app, k) => {
        for (const share of [false, true]) {
          const write = k.transaction({ idempotent: { share } }, async (req: Request, tx) => ({
            ...(await insert(tx)),
            of: user(req)?.id,
          }))
          app.post(share ? '/shared' : '/own', write)
        }
      })
      for (const [path, of] of [
        ['/own', 'bob'],
        ['/shared', 'ann'],
      ] as const) {
        const key = newKey()
        await post(port, key, {}, { path, headers: [['x-user', 'ann']] })
        expect((await post(port, key, {}, { path, headers: [['x-user', 'bob']] })).json()['of']).toBe(of)
      }
      expect(await left()).toMatchObject({ orders: 3 })
    })

    it('that throws after its SQL leaves nothing and is one error line; the retry is a clean run', async () => {
      let fails = true
      const port = await start((app, k) => {
        app.post(
          '/shops/:shop/orders',
          k.transaction({ idempotent: {} }, async (_req, tx) => {
            const order = await insert(tx)
            if (fails) throw new Error('the secret of db-7.internal')
            return created(order)
          }),
        )
      })
      const key = newKey()
      const failed = await post(port, key, {}, { path: '/shops/7/orders' })
      expect(failed.status).toBe(500)
      expect(failed.json()).toMatchObject({ code: 'internal-error', status: 500, instance: '/shops/7/orders' })
      expect(failed.body.toString()).not.toContain('secret')
      expect(await left()).toEqual({ orders: 0, noted: 0, records: 0 })
      expect(logger.errors).toEqual([
        {
          err: expect.objectContaining({
            message: 'the secret of db-7.internal',
            stack: expect.stringContaining('express.test.ts'),
          }),
          code: 'internal-error',
          status: 500,
          method: 'POST',
          route: '/shops/:shop/orders',
          correlationId: failed.header('x-correlation-id'),
        },
      ])
      fails = false
      const retried = await post(port, key, {}, { path: '/shops/7/orders' })
      expect([retried.status, retried.header('idempotent-replayed')]).toEqual([201, undefined])
    })

    it('adds to the lists that middleware has begun, and replaces nothing of them', async () => {
      const port = await start((app, k) => {
        app.use((_req, res, next) => {
          res.append('Vary', 'Accept')
          res.append('Set-Cookie', 'session=1')
          next()
        })
        app.post(
          '/orders',
          k.transaction({}, async () =>
            created(
              {},
              [],
              [
                ['Vary', 'Origin'],
                ['Set-Cookie', 'theme=dark'],
              ],
            ),
          ),
        )
      })
      const response = await fetch(`http://127.0.0.1:${port}/orders`, { method: 'POST' })
      expect(response.headers.get('vary')).toBe('Accept, Origin')
      expect(response.headers.getSetCookie()).toEqual(['session=1', 'theme=dark'])
    })

    it("leaves Express's own answer to OPTIONS", async () => {
      const port = await start((app, k) => {
        app.post(
          '/orders',
          k.transaction({}, async () => created({})),
        )
      })
      const response = await fetch(`http://127.0.0.1:${port}/orders`, { method: 'OPTIONS' })
      expect([response.status, response.headers.get('allow')]).toEqual([200, 'POST'])
    })

    it('that is refused with 4xx is remembered without its rows', async () => {
      const port = await start((app, k) => {
        app.post(
          '/orders',
          k.transaction({ idempotent: {} }, async (_req, tx) => {
            await insert(tx)
            return reply(422, { why: 'sold out' }, [note('refused')])
          }),
        )
      })
      const key = newKey()
      const [first, again] = [await post(port, key, {}), await post(port, key, {})]
      expect([first.status, again.status, again.header('idempotent-replayed')]).toEqual([422, 422, 'true'])
      expect(again.body).toEqual(first.body)
      expect(await left()).toEqual({ orders: 0, noted: 1, records: 1 })
    })

    it('goes on when its client leaves, and its retry is a replay', async () => {
      const entered = Promise.withResolvers<Exchange>()
      const leave = Promise.withResolvers<void>()
      const unhandled: unknown[] = []
      const onUnhandled = (error: unknown): void => void unhandled.push(error)
      process.on('unhandledRejection', onUnhandled)
      let exchange: Exchange
      const port = await start(
        (app, k) => {
          app.post(
            '/orders',
            k.transaction({ idempotent: {} }, async (_req, tx) => {
              entered.resolve(exchange)
              await leave.promise
              return created(await insert(tx))
            }),
          )
        },
        {
          scope: (x) => {
            exchange = x
            return 'm1'
          },
        },
      )
      const key = newKey()
      const headers = [
        ['Content-Type', 'application/json'],
        ['Idempotency-Key', key],
      ] as const
      const socket = open(port, { method: 'POST', path: '/orders', headers }, 2)
      socket.write('{}')
      const gone = await entered.promise
      socket.destroy()
      await new Promise((resolve) => gone.onEnd(resolve))
      leave.resolve()
      const again = await post(port, key, {})
      // Nothing is written to the dead socket, and whoever waits for it goes on.
      await gone.send({ status: 200, headers: [], body: Buffer.from('late') })
      process.off('unhandledRejection', onUnhandled)
      expect([again.status, again.header('idempotent-replayed')]).toEqual([201, 'true'])
      expect(await left()).toEqual({ orders: 1, noted: 0, records: 1 })
      expect([logger.errors, unhandled]).toEqual([[], []])
    })

    it.each([false, true])(
      'whose client leaves in the middle of the body never begins; gone before: %s',
      async (goneBefore) => {
        let runs = 0
        const arrived = Promise.withResolvers<void>()
        const closed = Promise.withResolvers<void>()
        const failed = Promise.withResolvers<unknown>()
        const fingerprint = async (x: Exchange): Promise<Uint8Array> => {
          arrived.resolve()
          if (goneBefore) await closed.promise
          try {
            return await x.rawBody()
          } catch (error) {
            failed.resolve(error)
            throw error
          }
        }
        const k = adapter()
        const app = express()
        app.use(k.context(), (_req, res, next) => {
          res.once('close', closed.resolve)
          next()
        })
        app.post(
          '/orders',
          k.transaction({ idempotent: { fingerprint } }, () => ++runs),
        )
        app.use(k.errors())
        served = await serve(app)
        const headers = [['Idempotency-Key', newKey()]] as const
        const socket = open(served.port, { method: 'POST', path: '/orders', headers }, 1_000)
        socket.write('x'.repeat(10))
        await arrived.promise
        socket.destroy()
        expect(await failed.promise).toMatchObject({ status: 400, code: 'body-incomplete' })
        expect([runs, logger.errors]).toEqual([0, []])
        expect(await left()).toEqual({ orders: 0, noted: 0, records: 0 })
      },
    )

    it('of a hundred at once is one write, and everybody gets its answer', async () => {
      const port = await orders()
      const key = newKey()
      const answers = await Promise.all(Array.from({ length: 100 }, () => post(port, key, { sku: 'a' })))
      expect(new Set(answers.map(({ status, body }) => `${status} ${body.toString()}`)).size).toBe(1)
      expect(answers.filter((answer) => answer.header('idempotent-replayed') === undefined)).toHaveLength(1)
      expect(await left()).toEqual({ orders: 1, noted: 1, records: 1 })
    })
  })

  describe('a transactional handler that answers by itself', () => {
    it.each<[string, (res: Response) => unknown]>([
      ['send', (res) => res.send('sent')],
      ['send, and a value', (res) => (res.send('sent'), { fine: true })],
      ['the head', (res) => res.writeHead(201, { 'Content-Length': 4 }).end('sent')],
      ['a first piece', (res) => (res.write('mine'), 'ours')],
      ['a file', (res) => new Promise(() => res.sendFile(import.meta.filename))],
      ['nothing but itself', (res) => res],
    ])('by %s tells nobody of what is taken back', async (_, answerBy) => {
      const port = await start((app, k) => {
        app.post(
          '/sent',
          k.transaction({ idempotent: {} }, async (req, tx) => {
            await insert(tx)
            return answerBy(req.res!)
          }),
        )
      })
      const key = newKey()
      for (let i = 0; i < 2; i++) {
        const answer = await post(port, key, {}, { path: '/sent' })
        expect([answer.status, answer.json()['code']]).toEqual([500, 'input-invalid'])
        expect([answer.header('content-length'), answer.header('etag')]).toEqual([`${answer.body.length}`, undefined])
      }
      expect(await left()).toEqual({ orders: 0, noted: 0, records: 0 })
      expect(logger.errors).toHaveLength(2)
    })

    it('behind its value, before the commit, changes nothing', async () => {
      const port = await start((app, k) => {
        app.post(
          '/sent',
          k.transaction({ idempotent: {} }, async (req, tx) => {
            const late = note('late')
            const statements: typeof late.statements = (ctx) => {
              req.res!.status(202).send('a longer answer than that')
              return late.statements!(ctx)
            }
            return created(await insert(tx), [{ ...late, statements }])
          }),
        )
      })
      const answer = await post(port, newKey(), {}, { path: '/sent' })
      expect([answer.status, answer.json()]).toEqual([201, { id: expect.any(Number) }])
      expect([answer.header('content-length'), answer.header('etag')]).toEqual([`${answer.body.length}`, undefined])
      expect(await left()).toEqual({ orders: 1, noted: 1, records: 1 })
    })
  })

  describe('the bytes of a body', () => {
    it('count as they came, also after a parser ran: 90 kB in many pieces', async () => {
      const port = await orders()
      const key = newKey()
      const bytes = Buffer.from(JSON.stringify({ sku: 'ü'.repeat(45_000) }))
      const headers = [
        ['Content-Type', 'application/json'],
        ['Idempotency-Key', key],
      ] as const
      const inPieces = async (sent: Buffer): Promise<string> => {
        const socket = open(port, { method: 'POST', path: '/orders', headers }, sent.length)
        for (let at = 0; at < sent.length; at += 9_001) {
          socket.write(sent.subarray(at, at + 9_001))
          await new Promise(setImmediate)
        }
        let text = ''
        for await (const chunk of socket) text += String(chunk)
        return text.slice(9, 12)
      }
      expect(await inPieces(bytes)).toBe('201')
      expect(
        (await send(port, { method: 'POST', path: '/orders', headers, body: bytes })).header('idempotent-replayed'),
      ).toBe('true')
      const other = Buffer.from(bytes)
      other[80_001] = other[80_001]! ^ 1
      expect(['400', '422']).toContain(await inPieces(other))
    })

    it.each([0, 20])(
      'are there without a parser, %d ms later, and the handler can still read its stream',
      async (ms) => {
        const k = adapter()
        const app = express()
        // By then the stream is full and its socket paused.
        app.use(k.context(), (_req, _res, next) => setTimeout(next, ms))
        app.post(
          '/orders',
          k.transaction({ idempotent: {} }, async (req, tx) => {
            await insert(tx)
            let length = 0
            for await (const chunk of req) length += (chunk as Buffer).length
            return { length }
          }),
        )
        app.use(k.errors())
        served = await serve(app)
        const headers = [
          ['Content-Type', 'text/csv'],
          ['Idempotency-Key', newKey()],
        ] as const
        const given = { method: 'POST', path: '/orders', headers, body: 'x'.repeat(900_000) }
        expect((await send(served.port, given)).json()).toEqual({ length: 900_000 })
        expect((await send(served.port, given)).header('idempotent-replayed')).toBe('true')
        expect((await send(served.port, { ...given, body: 'y'.repeat(900_000) })).status).toBe(422)
      },
    )

    it('over maxRawBody are 413 where they are needed, and only there', async () => {
      const port = await orders({ maxRawBody: 1_000 })
      const body = { sku: 'x'.repeat(1_000) }
      const tooLarge = await post(port, newKey(), body)
      expect([tooLarge.status, tooLarge.json()['code']]).toEqual([413, 'body-too-large'])
      expect(await left()).toEqual({ orders: 0, noted: 0, records: 0 })
      expect((await post(port, undefined, body)).status).toBe(201)
      expect((await post(port, newKey(), { sku: 'x'.repeat(900) })).status).toBe(201)
    })
  })

  describe('a policy on a route for HEAD or OPTIONS alone', () => {
    it.each(['head', 'options'] as const)('of %s is refused at its first request, and named', async (method) => {
      let runs = 0
      const port = await start((app, k) => {
        const end: RequestHandler = (_req, res) => (runs++, void res.end())
        app[method]('/orders', k.idempotent(), end)
        app[method]('/early', k.early({ allowIps: ['127.0.0.0/8'] }), end)
        app[method](
          '/written',
          k.transaction({}, () => ++runs),
        )
        app.route('/both').get(end)[method](k.idempotent(), end)
      })
      const paths = ['/orders', '/early', '/written', '/both']
      for (const path of paths) {
        const answer = await send(port, { method: method.toUpperCase(), path })
        expect([answer.status, runs], path).toEqual([500, 0])
      }
      expect(logger.errors.map(({ err }) => err)).toEqual(
        paths.map((path) =>
          expect.objectContaining({
            code: 'OPTION_INVALID',
            message: expect.stringContaining(`${method.toUpperCase()} ${path}: a policy is not for`),
          }),
        ),
      )
    })

    it('is none on GET, on all, in front of routes, or behind a preflight', async () => {
      const port = await start((app, k) => {
        const end: RequestHandler = (_req, res) => void res.end()
        const both = k.idempotent()
        app.get('/get', k.idempotent(), end)
        app.all('/all', k.idempotent(), end)
        app.route('/both').get(both, end).head(both, end)
        app.options('/used', (_req, _res, next) => next())
        app.use('/used', k.idempotent(), end)
      })
      const asked = [
        ['HEAD', '/get'],
        ['HEAD', '/all'],
        ['OPTIONS', '/all'],
        ['HEAD', '/both'],
        ['HEAD', '/used'],
        ['OPTIONS', '/used'],
      ] as const
      for (const [method, path] of asked) expect((await send(port, { method, path })).status, path).toBe(200)
    })
  })

  describe('context', () => {
    it('is around the handler: after awaits, in timers, in callbacks of a pool, after the body parser', async () => {
      const ids: (string | undefined)[] = []
      const see = (): void => void ids.push(context.get()?.correlationId)
      const port = await start((app, k) => {
        app.post(
          '/orders',
          k.route({}),
          (_req, res, next) => {
            see()
            setImmediate(() => {
              see()
              next()
            })
          },
          k.transaction({}, async (_req, tx) => {
            see()
            await tx.query('select 1')
            see()
            await sleep(1)
            see()
            // Beside its own transaction: PGlite has one connection, so there it would wait for itself.
            if (databaseName === 'Postgres') {
              await new Promise((resolve) => (database.db as unknown as Pool).query('select 1', context.bind(resolve)))
            }
            see()
            return { ...context.get() }
          }),
        )
      })
      const answer = await post(
        port,
        undefined,
        {},
        {
          headers: [
            ['x-correlation-id', 'order-17'],
            ['x-user', 'ann'],
          ],
        },
      )
      expect(answer.json()).toMatchObject({ correlationId: 'order-17', tenant: 'm1', principal: { id: 'ann' } })
      expect(answer.json()['traceparent']).toBe(answer.header('traceparent'))
      expect(ids).toEqual(Array(6).fill('order-17'))
    })

    it('is around a handler without any policy too, behind the body parser', async () => {
      const port = await start((app) => {
        app.post('/plain', (_req, res) => void res.json(context.get()))
      })
      const answer = await post(port, undefined, { sku: 'a' }, { path: '/plain' })
      expect(answer.json()['correlationId']).toBe(answer.header('x-correlation-id'))
      expect(answer.json()['traceparent']).toBe(answer.header('traceparent'))
    })

    it('knows tenant and principal behind a route’s policy, for handlers of any style', async () => {
      const port = await start((app, k) => {
        app.get('/who', k.route({}), (_req, res) => {
          setTimeout(() => res.json(context.get()), 1)
        })
      })
      const answer = await send(port, {
        path: '/who',
        headers: [
          ['x-user', 'ann'],
          ['X-Correlation-Id', 'order-17'],
        ],
      })
      expect(answer.json()).toMatchObject({ correlationId: 'order-17', tenant: 'm1', principal: { id: 'ann' } })
    })

    it('never crosses between requests that interleave', async () => {
      const port = await start((app, k) => {
        app.post(
          '/orders',
          k.transaction({ idempotent: {} }, async (req, tx) => {
            const seen: unknown[] = []
            const see = (): void => void seen.push(context.get()?.correlationId, context.get()?.principal?.id)
            for (let i = 0; i < 3; i++) {
              await sleep(Math.random() * 3)
              see()
              await tx.query('select 1')
              see()
              if (databaseName === 'Postgres') {
                // A full pool calls back from whoever gave a connection back.
                await new Promise<void>((resolve) =>
                  (database.db as unknown as Pool).query(
                    'select 1',
                    context.bind(() => (see(), resolve())),
                  ),
                )
              }
            }
            return { asked: req.body.n, seen: [...new Set(seen)] }
          }),
        )
      })
      const answers = await Promise.all(
        Array.from({ length: 8 }, async (_, i) => {
          const n = `request-${i}`
          return post(
            port,
            newKey(),
            { n },
            {
              headers: [
                ['x-correlation-id', n],
                ['x-user', `user-${i}`],
              ],
            },
          )
        }),
      )
      for (const [i, answer] of answers.entries()) {
        expect(answer.json()).toEqual({ asked: `request-${i}`, seen: [`request-${i}`, `user-${i}`] })
        expect(answer.header('x-correlation-id')).toBe(`request-${i}`)
      }
    })

    it('gives every answer its ids: 200, 201, 204, 400, 404, 413, 422 and 500', async () => {
      const port = await start(
        (app, k) => {
          app.get('/plain', (_req, res) => void res.send('ok'))
          app.post(
            '/orders',
            k.transaction({ idempotent: {} }, (req) => reply(req.body.status)),
          )
          app.get('/throws', () => {
            throw new Error('boom')
          })
        },
        { maxRawBody: 100 },
      )
      const key = newKey()
      const answers = [
        await send(port, { path: '/plain' }),
        await post(port, key, { status: 201 }),
        await post(port, undefined, { status: 204 }),
        await post(port, '', {}),
        await send(port, { path: '/nowhere' }),
        await post(port, newKey(), { status: 200, fill: 'x'.repeat(100) }),
        await post(port, key, { status: 200 }),
        await send(port, { path: '/throws' }),
      ]
      expect(answers.map(({ status }) => status)).toEqual([200, 201, 204, 400, 404, 413, 422, 500])
      for (const answer of answers) {
        expect(answer.header('x-correlation-id')).toMatch(UUIDV7)
        expect(answer.header('traceparent')).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
        if (answer.status >= 400) expect(answer.json()['correlationId']).toBe(answer.header('x-correlation-id'))
      }
      expect(answers[4]!.json()).toEqual({
        type: 'urn:keelson:problem:not-found',
        title: 'Not found',
        status: 404,
        instance: '/nowhere',
        code: 'not-found',
        retryable: false,
        correlationId: answers[4]!.header('x-correlation-id'),
      })
    })

    it('never lets an absurd id come back, in an answer or a log line', async () => {
      const port = await start((app) => {
        app.get('/throws', () => {
          throw new Error('boom')
        })
      })
      for (const id of [
        'x',
        '"><script>',
        'a b c d e f',
        'é'.repeat(20),
        'a'.repeat(5_000),
        '${jndi:ldap}',
        'a,b,c,d,e',
      ]) {
        for (const path of ['/nowhere', '/throws']) {
          const answer = await send(port, {
            path,
            headers: [
              ['X-Correlation-Id', id],
              ['traceparent', id],
            ],
          })
          expect(answer.header('x-correlation-id')).toMatch(UUIDV7)
          if (id.length > 1) expect(JSON.stringify([answer.lines, answer.body.toString('latin1')])).not.toContain(id)
        }
      }
      for (const { correlationId } of logger.errors) expect(correlationId).toMatch(UUIDV7)
      expect(logger.errors).toHaveLength(7)
    })

    it('forgotten, or after a body parser, is a 500 that says so', async () => {
      const k = adapter({ problems: { details: 'always' } })
      const forgotten = express()
      forgotten.post('/orders', k.route({}), (_req, res) => void res.send('never'))
      forgotten.use(k.errors())
      const late = express()
      late.use(express.json(), k.context())
      late.post(
        '/orders',
        k.transaction({ idempotent: {} }, () => 'never'),
      )
      late.use(k.errors())
      for (const app of [forgotten, late]) {
        const one = await serve(app)
        const answer = await post(one.port, newKey(), { sku: 'a' })
        await one.close()
        expect(answer.status).toBe(500)
        expect(answer.json()).toMatchObject({
          code: 'raw-body-unavailable',
          detail: expect.stringContaining('app.use(k.context()'),
        })
      }
      expect(logger.errors).toHaveLength(2)
    })

    it('may be mounted twice', async () => {
      const k = adapter()
      const app = express()
      const ids: unknown[] = []
      const see: RequestHandler = (_req, _res, next) => {
        ids.push(context.get()?.correlationId)
        next()
      }
      app.use(k.context(), see, k.context(), see)
      app.get('/', (_req, res) => void res.send('ok'))
      served = await serve(app)
      const answer = await send(served.port)
      expect(ids).toEqual(Array(2).fill(answer.header('x-correlation-id')))
    })

    it('may stand behind a middleware that takes its time, as long as no body came meanwhile', async () => {
      const k = adapter()
      const app = express()
      app.use((_req, _res, next) => setTimeout(next, 20), k.context())
      app.post(
        '/orders',
        k.transaction({ idempotent: {} }, () => 'done'),
      )
      app.use(k.errors())
      served = await serve(app)
      const headers = [['Idempotency-Key', newKey()]] as const
      expect((await send(served.port, { method: 'POST', path: '/orders', headers })).status).toBe(200)
      expect((await post(served.port, newKey(), {})).json()['code']).toBe('raw-body-unavailable')
    })
  })

  describe('errors', () => {
    it('of body parsers keep their status', async () => {
      const port = await orders()
      const broken = await send(port, {
        method: 'POST',
        path: '/orders',
        headers: [['Content-Type', 'application/json']],
        body: '{"sku":',
      })
      expect([broken.status, broken.json()['code']]).toEqual([400, 'bad-request'])
      const large = await post(port, undefined, { sku: 'x'.repeat(2_200_000) })
      expect([large.status, large.json()['code']]).toEqual([413, 'payload-too-large'])
      const encoded = await post(port, undefined, {}, { headers: [['Content-Encoding', 'zip']] })
      expect([encoded.status, encoded.json()['code']]).toEqual([415, 'unsupported-media-type'])
      expect(logger.errors).toEqual([])
    })

    it.each([undefined, 'route', 'router', null, 0])(
      'thrown as %s by a handler are a 500 all the same',
      async (thrown) => {
        const port = await start((app, k) => {
          app.post(
            '/orders',
            k.transaction({}, () => Promise.reject(thrown as unknown as Error)),
          )
          app.post('/orders', (_req, res) => void res.send('never'))
        })
        expect((await post(port, undefined, {})).status).toBe(500)
        expect(logger.errors).toHaveLength(1)
      },
    )

    it('thrown as a problem are that problem', async () => {
      const port = await start((app, k) => {
        app.post(
          '/orders',
          k.transaction({ idempotent: {} }, () => {
            throw problem(409, 'sold-out', { detail: 'none left', retryAfter: '10s' })
          }),
        )
      })
      const answer = await post(port, newKey(), {})
      expect([answer.status, answer.header('retry-after')]).toEqual([409, '10'])
      expect(answer.json()).toMatchObject({ code: 'sold-out', detail: 'none left', retryable: false })
      expect(logger.errors).toEqual([])
    })

    it('of the database are what their SQLSTATE means', async () => {
      const port = await start((app, k) => {
        app.post(
          '/orders',
          k.transaction({ idempotent: {} }, async (_req, tx) => {
            await tx.query("insert into orders (sku, ref) values ('a', 'unique-1')")
            await tx.query("insert into orders (sku, ref) values ('a', 'unique-1')")
          }),
        )
      })
      const answer = await post(port, newKey(), {})
      expect(answer.json()).toMatchObject({ status: 409, code: 'conflict' })
      expect(answer.body.toString()).not.toContain('orders_ref_key')
      expect(await left()).toEqual({ orders: 0, noted: 0, records: 0 })
    })

    it('after the head of an answer end the connection, with one line', async () => {
      const port = await start((app) => {
        app.get('/half', (_req, res, next) => {
          res.write('half')
          setTimeout(() => next(new Error('boom')), 10)
        })
      })
      await expect(fetch(`http://127.0.0.1:${port}/half`).then((response) => response.text())).rejects.toThrow()
      expect(logger.errors).toHaveLength(1)
    })

    it('of a policy stop the start', () => {
      const k = adapter()
      expect(() => k.route({ witnessed: {} } as never)).toThrow(/unknown option "witnessed"/)
      expect(() => k.audited({ action: 'order.create' })).toThrow(/"audited" needs createHttp\(\{ audit \}\)/)
      expect(() => k.cached({ per: 'scope' } as never)).toThrow(/cached: "ttl" is required/)
      expect(() => k.early({ transactional: 1 } as never)).toThrow(/"transactional" must be true or false/)
      expect(() => k.idempotent({ ttl: '1h' } as never)).toThrow(/unknown option "ttl"/)
      expect(() => k.route({ transactional: true })).toThrow(/comes with its handler: transaction\(policy, handler\)/)
    })
  })

  describe('the exchange', () => {
    it('shows the request as the client sent it', async () => {
      const seen: unknown[] = []
      const port = await start(
        (app, k) => {
          const router = express.Router()
          router.get('/orders/:id', k.early({}), k.route({}), (_req, res) => void res.send('ok'))
          app.use('/shops', router)
        },
        {
          scope: (x) => {
            const { method, path, route, remoteAddress, searchParams } = x
            seen.push({
              method,
              path,
              route,
              remoteAddress,
              query: [...searchParams],
              lines: x.headerLines('X-Two'),
              joined: x.header('x-two'),
              none: x.header('x-none'),
            })
            return 'm1'
          },
        },
      )
      for (const target of ['/shops/orders/a%2Fb?x=1&y=ü&x=2?', 'http://test/shops/orders/a%2Fb?x=1&y=ü&x=2?']) {
        await send(port, {
          path: encodeURI(target).replaceAll('%25', '%'),
          headers: [
            ['X-Two', 'a'],
            ['x-two', 'b'],
          ],
        })
      }
      const expected = {
        method: 'GET',
        path: '/shops/orders/a%2Fb',
        route: '/shops/orders/:id',
        remoteAddress: '127.0.0.1',
        query: [
          ['x', '1'],
          ['y', 'ü'],
          ['x', '2?'],
        ],
        lines: ['a', 'b'],
        joined: 'a, b',
        none: undefined,
      }
      expect(seen).toEqual([expected, expected])
    })

    it('says once how the answer ended, and aborts its signal only when the client left', async () => {
      const ends: unknown[] = []
      let arrived = Promise.withResolvers<Exchange>()
      const port = await start(
        (app, k) => {
          app.get('/quick', k.route({}), (_req, res) => void res.send('ok'))
          app.get('/never', k.route({}), () => {})
        },
        {
          scope: (x) => {
            x.onEnd(({ status, bytes, aborted }) => ends.push([status, bytes > 0, aborted]))
            expect(x.signal.aborted).toBe(false)
            arrived.resolve(x)
            return 'm1'
          },
        },
      )
      await send(port, { path: '/quick' })
      const quick = await arrived.promise
      arrived = Promise.withResolvers()
      const socket = open(port, { path: '/never' }, 0)
      const never = await arrived.promise
      socket.destroy()
      await new Promise((resolve) => never.onEnd(resolve))
      expect(ends).toEqual([
        [200, true, false],
        [200, false, true],
      ])
      expect([quick.signal.aborted, never.signal.aborted]).toEqual([false, true])
    })
  })
})
