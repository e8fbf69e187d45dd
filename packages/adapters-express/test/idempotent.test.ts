import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import type { ErrorRequestHandler, Express, Request, RequestHandler } from 'express'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createExpress, type KeelsonExpress } from '@keelson/express'
import { createHttp, problem, type HttpOptions, type IdempotentRule } from '@keelson/http'
import {
  createIdempotency,
  type Idempotency,
  type IdempotencyOptions,
  type IdempotencyStore,
  type Ref,
} from '@keelson/idempotency'
import { context } from '@keelson/kernel'
import { until } from '../../../tools/servers/until.ts'
import { MAX_BYTES } from '../../http/test/animal.ts'
import { stores, type OpenStore } from '../../http/test/stores.ts'
import { recordingLogger } from '../../http/test/support.ts'
import { frameworks, open, post, readAnswer, serve, type Answer, type Served } from './support.ts'
import { zipping } from './zipping.ts'
import { zoo } from './zoo.ts'

const subjects = frameworks.flatMap((framework) => stores.map((store) => ({ ...framework, ...store })))
/** Of one request or moment; they are not replayed. */
const OWN =
  /^(date|connection|keep-alive|transfer-encoding|content-length|set-cookie|x-correlation-id|traceparent|x-response-time|trailer)$/i

describe.each(subjects)('an idempotent handler on $framework and $store', ({ express, open: openStore }) => {
  let opened: OpenStore
  let keys = 0
  const running: Served[] = []
  const cores: Idempotency[] = []
  let logger = recordingLogger()

  beforeAll(() => void (opened = openStore()))
  afterAll(() => opened.close())
  afterEach(async () => {
    for (const one of running.splice(0)) await one.close()
    for (const one of cores.splice(0)) await one.stop({ drain: 0 })
    logger = recordingLogger()
  })

  const newKey = (): string => `key-${++keys}`
  const core = (options: Partial<IdempotencyOptions> = {}): Idempotency => {
    // Who asks meanwhile is answered in the end, also on a machine that stands still.
    const one = createIdempotency({ store: opened.store, storeTimeout: '10s', wait: '1m', ...options })
    cores.push(one)
    return one
  }
  const refOf = (key: string, op = 'POST /orders'): Ref => ({ scope: 'm1', op, key })

  interface Setting {
    readonly rule?: IdempotentRule
    readonly before?: readonly RequestHandler[]
    readonly behind?: readonly RequestHandler[]
    readonly errors?: ErrorRequestHandler
    readonly core?: Partial<IdempotencyOptions>
    readonly http?: HttpOptions
    routes?(app: Express, k: KeelsonExpress): void
  }

  /** An application whose only route is `handler`. */
  async function start(handler: RequestHandler, o: Setting = {}): Promise<number> {
    const k = createExpress(
      createHttp({ idempotency: core(o.core), scope: () => 'm1', logger, maxStoredBytes: MAX_BYTES, ...o.http }),
    )
    const app = express()
    app.use(k.context(), express.json({ limit: '2mb' }), ...(o.before ?? []))
    o.routes?.(app, k)
    app.all('/orders', k.idempotent(o.rule), ...(o.behind ?? []), handler)
    if (o.errors !== undefined) app.use(o.errors)
    app.use(k.errors())
    const one = await serve(app)
    running.push(one)
    return one.port
  }

  /** Counts how often a handler runs. */
  function counted(handler: RequestHandler): RequestHandler & { runs: number } {
    const counting: RequestHandler & { runs: number } = Object.assign(
      ((req, res, next) => {
        counting.runs++
        return handler(req, res, next)
      }) as RequestHandler,
      { runs: 0 },
    )
    return counting
  }

  const kept = ({ lines }: Answer): unknown => lines.filter(([name]) => !OWN.test(name))
  const isReplayed = (answer: Answer): boolean => answer.header('idempotent-replayed') === 'true'

  it.each(zoo)(
    '$name: its answer is given again',
    async ({ handler, method = 'POST', kind = 'whole', status = 200 }) => {
      const counting = counted(handler)
      const port = await start(counting)
      const key = newKey()
      const first = await post(port, key, {}, { method })
      const again = await post(port, key, {}, { method })
      expect([first.status, isReplayed(first)]).toEqual([status, false])
      if (kind === 'part') {
        expect([again.status, again.json()['code']]).toEqual([409, 'answer-not-retained'])
        expect(counting.runs).toBe(1)
      } else if (status >= 500) {
        expect([isReplayed(again), counting.runs]).toEqual([false, 2])
      } else {
        expect([again.status, again.body]).toEqual([first.status, first.body])
        expect(kept(again)).toEqual([...(kept(first) as []), ['Idempotent-Replayed', 'true']])
        expect(again.header('set-cookie')).toBeUndefined()
        expect(counting.runs).toBe(1)
      }
    },
  )

  it.each(zoo.filter(({ status = 200 }) => status < 500))(
    '$name: it is stored before its last byte is there',
    async ({ handler, method = 'POST', kind = 'whole' }) => {
      const other = core()
      const { store } = opened
      const slow: IdempotencyStore = {
        ...store,
        settle: (...args) => sleep(15).then(() => store.settle(...args)),
      }
      const port = await start(handler, { core: { store: slow } })
      const key = newKey()
      const whole = await post(port, newKey(), {}, { method })
      const socket = open(port, { method, path: '/orders', headers: [['Idempotency-Key', key]] }, 0)
      const chunks: Buffer[] = []
      const ref = refOf(key, `${method} /orders`)
      let stateThen: Promise<unknown> | undefined
      for await (const chunk of socket) {
        chunks.push(chunk as Buffer)
        const soFar = readAnswer(Buffer.concat(chunks))
        if (soFar.status > 0 && soFar.body.length === whole.body.length) stateThen ??= other.find(ref)
      }
      expect(await stateThen).toMatchObject({ state: kind === 'part' ? 'tombstone' : 'done' })
    },
  )

  it('of fifty at once runs once, and everybody gets its answer', async () => {
    const handler = counted(async (_req, res) => {
      await sleep(20)
      res.status(201).json({ id: Math.random() })
    })
    // Two nodes share the store.
    const ports = [await start(handler), await start(handler)]
    const key = newKey()
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => post(ports[i % 2]!, key, { sku: 'a' })))
    expect(handler.runs).toBe(1)
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.toString()}`)).size).toBe(1)
    expect(answers.filter((answer) => !isReplayed(answer))).toHaveLength(1)
  })

  it('runs inside the context with tenant and principal, after the body parser', async () => {
    const port = await start((req, res) => void setTimeout(() => res.json({ ...context.get(), body: req.body }), 1), {
      http: { principal: (x) => ({ id: (x.raw as Request).get('x-user') ?? 'nobody' }) },
    })
    const answer = await post(port, newKey(), { sku: 'a' }, { headers: [['x-user', 'ann']] })
    expect(answer.json()).toMatchObject({ tenant: 'm1', principal: { id: 'ann' }, body: { sku: 'a' } })
    expect(answer.json()['correlationId']).toBe(answer.header('x-correlation-id'))
  })

  it('gives each answer its own ids and cookies, and never doubles what middleware sets', async () => {
    const port = await start((_req, res) => void res.vary('Accept').cookie('once', '1').json({}), {
      before: [
        (_req, res, next) => {
          res.vary('Origin').append('Link', '</a.css>; rel=preload').cookie('session', '1')
          res.set('Access-Control-Expose-Headers', 'X-Total')
          next()
        },
      ],
    })
    const key = newKey()
    const [first, again] = [await post(port, key, {}), await post(port, key, {})]
    const values = ({ lines }: Answer, name: string): string[] =>
      lines.filter(([one]) => one.toLowerCase() === name).map(([, value]) => value)
    expect(values(first, 'set-cookie')).toEqual(['session=1; Path=/', 'once=1; Path=/'])
    expect(values(again, 'set-cookie')).toEqual(['session=1; Path=/'])
    for (const name of ['vary', 'link', 'x-powered-by', 'etag'])
      expect(values(again, name)).toEqual(values(first, name))
    expect(values(first, 'access-control-expose-headers')).toEqual(['X-Total'])
    expect(values(again, 'access-control-expose-headers')).toEqual(['X-Total, Idempotent-Replayed'])
    expect(values(again, 'x-correlation-id')).toHaveLength(1)
    expect(values(again, 'x-correlation-id')).not.toEqual(values(first, 'x-correlation-id'))
  })

  it('works with compression in front, also for repeats; behind, it warns once and stores nothing', async () => {
    const text = 'compress me '.repeat(200)
    const handler: RequestHandler = (_req, res) => void res.type('text/plain').send(text)
    const key = newKey()
    const front = await start(handler, { before: [zipping] })
    for (const replayed of [false, true]) {
      const answer = await post(front, key, {})
      expect(gunzipSync(answer.body).toString()).toBe(text)
      expect(isReplayed(answer)).toBe(replayed)
    }
    const back = await start(handler, { behind: [zipping] })
    for (const other of [newKey(), newKey()]) {
      expect(gunzipSync((await post(back, other, {})).body).toString()).toBe(text)
      expect((await post(back, other, {})).json()['code']).toBe('answer-not-retained')
    }
    expect(logger.warnings).toEqual([expect.stringContaining('mount compression before it')])
  })

  it('is what the client saw: a 304 is given again as a 304', async () => {
    const handler = counted((_req, res) => void res.set('ETag', '"1"').send('fresh?'))
    const port = await start(handler)
    const key = newKey()
    const given = { method: 'GET', headers: [['If-None-Match', '"1"']] as const }
    const [first, again] = [await post(port, key, {}, given), await post(port, key, {}, given)]
    expect([first.status, again.status, isReplayed(again), handler.runs]).toEqual([304, 304, true, 1])
    expect([again.body.length, again.header('etag')]).toEqual([0, '"1"'])
  })

  describe('that fails', () => {
    it.each<[string, RequestHandler]>([
      [
        'by a throw',
        () => {
          throw new Error('boom')
        },
      ],
      ['by next', (_req, _res, next) => next(new Error('boom'))],
      ['later', (_req, _res, next) => void setTimeout(() => next(new Error('boom')), 5)],
      ['by an answer', (_req, res) => void res.status(503).json({ busy: true })],
      ['after its head', (_req, res, next) => void (res.write('half'), setTimeout(() => next(new Error('boom')), 5))],
      [
        'by a problem that may pass',
        () => {
          throw problem(429, 'slow-down')
        },
      ],
    ])('%s leaves the key free', async (_, failing) => {
      let fails = true
      const handler = counted((req, res, next) => (fails ? failing(req, res, next) : void res.send('done')))
      const port = await start(handler)
      const key = newKey()
      await post(port, key, {}).catch(() => undefined)
      fails = false
      const retried = await post(port, key, {})
      expect([retried.status, isReplayed(retried), handler.runs]).toEqual([200, false, 2])
    })

    it('by a rejection leaves the key free, on Express 5', async () => {
      let fails = true
      const handler = counted((async (_req, res, next) => {
        await sleep(1)
        // Express 4 forwards no rejection: its users do this.
        if (fails) return next(new Error('boom'))
        res.send('done')
      }) as RequestHandler)
      const port = await start(handler)
      const key = newKey()
      expect((await post(port, key, {})).status).toBe(500)
      fails = false
      expect((await post(port, key, {})).status).toBe(200)
      expect(logger.errors).toHaveLength(1)
    })

    it.each([
      ['by a problem', () => problem(422, 'sold-out'), 422],
      ['in validation', () => Object.assign(new Error('bad'), { status: 400, expose: true }), 400],
    ])('%s is remembered, and one run', async (_, error, status) => {
      const handler = counted((_req, _res, next) => next(error()))
      const port = await start(handler)
      const key = newKey()
      const [first, again] = [await post(port, key, {}), await post(port, key, {})]
      expect([first.status, again.status, isReplayed(again), handler.runs]).toEqual([status, status, true, 1])
      expect(again.body).toEqual(first.body)
    })

    it('is remembered as the application’s own error handler answers it', async () => {
      const handler = counted((_req, _res, next) => next(new Error('teapot')))
      const errors: ErrorRequestHandler = (error: Error, _req, res, next) => {
        if (error.message === 'teapot') res.status(418).send('<h1>short and stout</h1>')
        else next(error)
      }
      const port = await start(handler, { errors })
      const key = newKey()
      const [first, again] = [await post(port, key, {}), await post(port, key, {})]
      expect([first.status, isReplayed(again), handler.runs]).toEqual([418, true, 1])
      expect(again.body).toEqual(first.body)
    })

    it('is remembered as 5xx by the preset stripeV1', async () => {
      const handler = counted((_req, _res, next) => next(new Error('boom')))
      const port = await start(handler, { rule: { preset: 'stripeV1' } })
      const key = newKey()
      const [first, again] = [await post(port, key, {}), await post(port, key, {})]
      expect([first.status, again.status, isReplayed(again), handler.runs]).toEqual([500, 500, true, 1])
      expect(again.body).toEqual(first.body)
    })

    it('is unknown at most once, but for refusals that may pass', async () => {
      for (const [status, code] of [
        [500, 'outcome-unknown'],
        [429, undefined],
      ] as const) {
        const handler = counted((_req, res) => void res.status(status).json({}))
        const port = await start(handler, { core: { guarantee: 'at-most-once' } })
        const key = newKey()
        await post(port, key, {})
        expect((await post(port, key, {})).json()['code']).toBe(code)
        expect(handler.runs).toBe(code === undefined ? 2 : 1)
      }
    })
  })

  describe('whose client leaves', () => {
    it.each([0, 1, 2])('after %d parts goes on, and its retry is a replay', async (after) => {
      const unhandled: unknown[] = []
      const onUnhandled = (error: unknown): void => void unhandled.push(error)
      process.on('unhandledRejection', onUnhandled)
      const ready = Promise.withResolvers<void>()
      const left = Promise.withResolvers<void>()
      const handler = counted(async (_req, res) => {
        res.on('close', left.resolve)
        for (const [i, part] of ['one', 'two', 'three'].entries()) {
          if (i === after) {
            ready.resolve()
            await left.promise
          }
          res.write(part)
        }
        res.end()
      })
      const port = await start(handler)
      const key = newKey()
      const headers = [['Idempotency-Key', key]] as const
      const socket = open(port, { method: 'POST', path: '/orders', headers }, 0)
      await ready.promise
      socket.destroy()
      const again = await retry(port, key)
      process.off('unhandledRejection', onUnhandled)
      expect([again.status, again.body.toString(), isReplayed(again)]).toEqual([200, 'onetwothree', true])
      expect([handler.runs, unhandled, logger.errors]).toEqual([1, [], []])
    })

    it('is waited for by a client that asks again meanwhile', async () => {
      const entered = Promise.withResolvers<void>()
      const go = Promise.withResolvers<void>()
      const handler = counted(async (_req, res) => {
        entered.resolve()
        await go.promise
        res.status(201).json({ id: 7 })
      })
      const port = await start(handler)
      const key = newKey()
      const socket = open(port, { method: 'POST', path: '/orders', headers: [['Idempotency-Key', key]] }, 0)
      await entered.promise
      socket.destroy()
      const again = retry(port, key)
      await sleep(30)
      go.resolve()
      expect([(await again).json(), isReplayed(await again), handler.runs]).toEqual([{ id: 7 }, true, 1])
    })

    it('and that fails is free at once', async () => {
      const ready = Promise.withResolvers<void>()
      let fails = true
      const handler = counted((_req, res, next) => {
        if (!fails) return void res.send('done')
        ready.resolve()
        res.on('close', () => next(new Error('boom')))
      })
      const port = await start(handler)
      const key = newKey()
      const socket = open(port, { method: 'POST', path: '/orders', headers: [['Idempotency-Key', key]] }, 0)
      await ready.promise
      fails = false
      socket.destroy()
      const again = await retry(port, key)
      expect([again.body.toString(), handler.runs, logger.errors.length]).toEqual(['done', 2, 1])
    })

    it('and that never ends its answer is released after its lease', async () => {
      const entered = Promise.withResolvers<void>()
      let fails = true
      const handler = counted((_req, res) => (fails ? (res.write('never'), entered.resolve()) : void res.send('done')))
      let renewals = 0
      const watched: IdempotencyStore = {
        ...opened.store,
        async touch(...args) {
          const touched = await opened.store.touch(...args)
          renewals++
          return touched
        },
      }
      const port = await start(handler, { core: { store: watched, lease: '3s' } })
      const key = newKey()
      const socket = open(port, { method: 'POST', path: '/orders', headers: [['Idempotency-Key', key]] }, 0)
      await entered.promise
      fails = false
      // Each third of it, while the client is there.
      await until('the lease is renewed', 60_000, async () => renewals > 3 || undefined)
      expect(await core().find(refOf(key))).toMatchObject({ state: 'inflight', attempt: 1 })
      const leftMs = performance.now()
      socket.destroy()
      const again = await retry(port, key)
      expect([again.body.toString(), isReplayed(again), handler.runs]).toEqual(['done', false, 2])
      expect(performance.now() - leftMs).toBeGreaterThan(2_500)
    })

    it('during its body never begins', async () => {
      const handler = counted((_req, res) => void res.send('done'))
      const port = await start(handler)
      const key = newKey()
      const socket = open(port, { method: 'POST', path: '/orders', headers: [['Idempotency-Key', key]] }, 1_000)
      socket.write('half')
      await sleep(20)
      socket.destroy()
      await sleep(20)
      expect([handler.runs, await core().find(refOf(key))]).toEqual([0, null])
    })

    /** The same request, without a body. */
    async function retry(port: number, key: string): Promise<Answer> {
      const socket = open(port, { method: 'POST', path: '/orders', headers: [['Idempotency-Key', key]] }, 0)
      const chunks: Buffer[] = []
      socket.on('data', (chunk) => chunks.push(chunk))
      await once(socket, 'close')
      return readAnswer(Buffer.concat(chunks))
    }
  })

  it.each<[string, RequestHandler]>([
    ['a second answer', (_req, res) => void (res.json({ a: 1 }), res.json({ a: 2 }))],
    [
      'a throw',
      (_req, res) => {
        res.json({ a: 1 })
        throw new Error('late')
      },
    ],
    ['next()', (_req, res, next) => (res.json({ a: 1 }), next())],
    ['next(error)', (_req, res, next) => (res.json({ a: 1 }), next(new Error('late')))],
  ])('that has answered reaches its client, although %s comes behind', async (_, handler) => {
    const slow: IdempotencyStore = {
      ...opened.store,
      settle: (...args) => sleep(15).then(() => opened.store.settle(...args)),
    }
    const port = await start(handler, { core: { store: slow } })
    const key = newKey()
    const first = await post(port, key, {})
    const again = await post(port, key, {})
    expect([first.status, first.json(), isReplayed(first)]).toEqual([200, { a: 1 }, false])
    expect([again.status, again.json(), isReplayed(again)]).toEqual([200, { a: 1 }, true])
  })

  it('keeps an answer of as many bytes as http may, whatever the core keeps elsewhere', async () => {
    const port = await start((_req, res) => void res.send('x'.repeat(50_000)), {
      http: { maxStoredBytes: 50_000 },
      core: { maxStoredBytes: 1_000 },
    })
    const key = newKey()
    await post(port, key, {})
    expect(isReplayed(await post(port, key, {}))).toBe(true)
  })

  it('broken off by its handler is free at once', async () => {
    let breaks = true
    const handler = counted((_req, res) => void (breaks ? (res.write('half'), res.destroy()) : res.send('done')))
    const port = await start(handler)
    const key = newKey()
    await post(port, key, {}).catch(() => undefined)
    breaks = false
    const again = await post(port, key, {})
    expect([again.body.toString(), handler.runs]).toEqual(['done', 2])
  })

  it.each<[string, number | string, 'GET' | 'HEAD' | 'POST', number, boolean]>([
    ['shorter than it said', 10, 'POST', 200, false],
    ['longer than it said', 2, 'POST', 200, false],
    ['empty, though it said otherwise', 10, 'POST', 200, false],
    ['as long as it said', 4, 'POST', 200, true],
    ['to HEAD, of no body', 10, 'HEAD', 200, true],
    ['304 to a longer one', 10, 'GET', 304, true],
  ])('%s: what a broken answer leaves is a free key', async (what, length, method, status, isKept) => {
    const handler = counted((req, res) => {
      res.writeHead(status, { 'Content-Length': length })
      if (!what.startsWith('empty')) res.write('half')
      // The connection is of no use any more; Node keeps it.
      req.socket.destroy()
      res.end()
    })
    const port = await start(handler)
    const key = newKey()
    await post(port, key, {}, { method }).catch(() => undefined)
    await post(port, key, {}, { method }).catch(() => undefined)
    expect(handler.runs).toBe(isKept ? 1 : 2)
  })

  it('that has lost its lease sends the winner’s answer, as long as nothing has left', async () => {
    const entered = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    let runs = 0
    const handler: RequestHandler = async (_req, res) => {
      const mine = ++runs
      if (mine === 1) {
        entered.resolve()
        await go.promise
      }
      res
        .cookie('run', String(mine))
        .status(200 + mine)
        .json({ run: mine })
    }
    const { touch } = opened.store
    const port = await start(handler, { core: { lease: '200ms' } })
    const key = newKey()
    opened.store.touch = async () => 'lost'
    const first = post(port, key, {})
    await entered.promise
    await sleep(300)
    const second = await start(handler)
    const winner = await post(second, key, {})
    opened.store.touch = touch
    go.resolve()
    const loser = await first
    expect(winner.json()).toEqual({ run: 2 })
    expect([loser.status, loser.json(), isReplayed(loser)]).toEqual([202, { run: 2 }, true])
    expect(loser.header('set-cookie')).toBeUndefined()
  })

  describe('without a key', () => {
    it('runs each time', async () => {
      const handler = counted((_req, res) => void res.send('done'))
      const port = await start(handler)
      for (let i = 0; i < 2; i++) expect((await post(port, undefined, {})).status).toBe(200)
      expect(handler.runs).toBe(2)
    })

    it('is refused where one is required, or when it is none', async () => {
      const handler = counted((_req, res) => void res.send('done'))
      const port = await start(handler, { rule: { required: true } })
      expect((await post(port, undefined, {})).json()['code']).toBe('key-missing')
      expect((await post(port, 'a,b', {})).json()['code']).toBe('key-malformed')
      expect(handler.runs).toBe(0)
    })
  })

  it('under a used key with another body is 422', async () => {
    const port = await start((_req, res) => void res.send('done'))
    const key = newKey()
    await post(port, key, { sku: 'a' })
    expect((await post(port, key, { sku: 'b' })).json()['code']).toBe('key-reused')
  })

  it('has one such policy', async () => {
    const handler = counted((_req, res) => void res.send('done'))
    const port = await start(handler, { routes: (app, k) => void app.use('/orders', k.idempotent()) })
    const answer = await post(port, newKey(), {})
    expect([answer.status, answer.json()['code'], handler.runs]).toEqual([500, 'capture-twice', 0])
    expect(logger.errors).toEqual([
      expect.objectContaining({ err: expect.objectContaining({ code: 'CAPTURE_TWICE' }) }),
    ])
    expect((await post(port, undefined, {})).status).toBe(200)
  })

  it('is told of a store that is down', async () => {
    const { begin } = opened.store
    opened.store.begin = () => Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
    const handler = counted((_req, res) => void res.send('done'))
    const refusing = await start(handler)
    const unprotected = await start(handler, { core: { onStoreDown: 'run-unprotected' } })
    const refused = await post(refusing, newKey(), {})
    const ran = await post(unprotected, newKey(), {})
    opened.store.begin = begin
    expect([refused.status, refused.json()['code'], refused.header('retry-after')]).toEqual([
      503,
      'store-unavailable',
      '1',
    ])
    expect([ran.status, ran.header('idempotency-status'), handler.runs]).toEqual([200, 'unprotected', 1])
  })
})
