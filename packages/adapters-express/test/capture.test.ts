import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import type { Express, RequestHandler, Response } from 'express'
import { afterEach, describe, expect, it } from 'vitest'
import { type Captured, type Exchange, type StoredResponse } from '@keelson/http'
import { nodeExchanges } from '@keelson/http/node'
import { expressFrame } from '../src/frame.ts'
import { until } from '../../../tools/servers/until.ts'
import { frameworks, open, readAnswer, sendRaw, serve, type Served } from './support.ts'
import { MAX_BYTES } from '../../http/test/animal.ts'
import { zoo } from './zoo.ts'
import { zipping } from './zipping.ts'

const exchanges = nodeExchanges(expressFrame, 1_000)
const fail = (): never => {
  throw new Error('behind')
}
type Save = (captured: Captured) => Promise<StoredResponse | undefined>

describe.each(frameworks)('capture on $framework', ({ express }) => {
  const running: Served[] = []
  afterEach(async () => {
    for (const one of running.splice(0)) await one.close()
  })

  async function start(build: (app: Express) => void): Promise<number> {
    const app = express()
    build(app)
    const one = await serve(app)
    running.push(one)
    return one.port
  }

  /** An application whose only handler stands behind `before`. */
  const answering = (handler: RequestHandler, ...before: (RequestHandler | ((app: Express) => void))[]) =>
    start((app) => {
      app.set('env', 'test') // no error in the console
      app.set('etag', 'weak')
      for (const one of before) {
        if (one.length === 1) (one as (app: Express) => void)(app)
        else app.use(one as RequestHandler)
      }
      app.use(handler)
    })

  describe.each(['last', 'all'] as const)('that holds %s', (hold) => {
    it.each(zoo)('leaves every byte as it is: $name', async (animal) => {
      const { handler, method = 'POST', kind = 'whole', status = 200 } = animal
      const seen: Captured[] = []
      const save: Save = async (captured) => void seen.push(captured)
      const port = await answering(handler, capturing(save, { hold }))
      const bare = await answering(handler, through)
      const [captured, plain] = [await sendRaw(port, { method }), await sendRaw(bare, { method })]
      expect(withoutDate(captured)).toBe(withoutDate(plain))
      const answer = readAnswer(plain)
      expect(answer.status).toBe(status)
      expect(seen.map((one) => one.kind)).toEqual([kind])
      if (seen[0]?.kind !== 'whole') return
      const { response } = seen[0]
      const own = answer.lines.filter(([name]) => !/^(date|connection|keep-alive|transfer-encoding)$/i.test(name))
      expect({ ...response, body: Buffer.from(response.body) }).toEqual({
        status,
        // Node adds a length that the handler did not give.
        headers: own.filter(([name]) => name.toLowerCase() !== 'content-length' || hasLength(response)),
        body: answer.body,
      })
    })

    it.each(zoo)('lets the last byte go only when it is saved: $name', async ({ handler, method = 'POST' }) => {
      const whole = readAnswer(await sendRaw(await answering(handler, through), { method }))
      const saving = Promise.withResolvers<Captured>()
      const saved = Promise.withResolvers<undefined>()
      const save: Save = (captured) => {
        saving.resolve(captured)
        return saved.promise
      }
      const client = listen(await answering(handler, capturing(save, { hold })), method)
      await saving.promise
      await sleep(20)
      const early = readAnswer(client.bytes())
      if (whole.body.length > 0) expect(early.body.length).toBeLessThan(whole.body.length)
      else expect(early.status).toBeNaN()
      saved.resolve(undefined)
      await client.closed
      expect(readAnswer(client.bytes()).body).toEqual(whole.body)
    })
  })

  it('takes writeHead with pairs, which Node takes when no header was set before', async () => {
    const handler: RequestHandler = (_req, res) => {
      res.writeHead(200, 'Pairs', [
        ['X-One', '1'],
        ['x-two', ['2', '3']],
      ] as never)
      res.end('pairs')
    }
    const seen: Captured[] = []
    const build = (app: Express): void => void app.disable('x-powered-by')
    const port = await answering(
      handler,
      capturing(async (captured) => void seen.push(captured)),
      build,
    )
    const bare = await answering(handler, through, build)
    expect(withoutDate(await sendRaw(port))).toBe(withoutDate(await sendRaw(bare)))
    expect(seen).toMatchObject([
      {
        response: {
          headers: [
            ['X-One', '1'],
            ['x-two', '2'],
            ['x-two', '3'],
          ],
        },
      },
    ])
  })

  it.each<[string, RequestHandler]>([
    ['status', (_req, res) => void res.writeHead(99)],
    ['statusCode', (_req, res) => void Object.assign(res, { statusCode: 1_000 }).write('x')],
    ['statusMessage', (_req, res) => void Object.assign(res, { statusMessage: 'a\nb' }).write('x')],
    ['header', (_req, res) => void res.writeHead(200, { 'X-A': 'a\nb' })],
    ['chunk', (_req, res) => void res.write(7)],
    ['last chunk', (_req, res) => void res.end({})],
    ['null', (_req, res) => void res.write(null)],
  ])('leaves it to Node to refuse a bad %s', async (_, handler) => {
    const thrown: unknown[] = []
    const caught: RequestHandler = (req, res, next) => {
      try {
        void handler(req, res, next)
      } catch (error) {
        thrown.push((error as { code: string }).code)
        res.writeHead(400, 'Refused').end('refused')
      }
    }
    const answers: string[] = []
    for (const before of [through, capturing(async () => undefined)]) {
      answers.push(withoutDate(await sendRaw(await answering(caught, before))))
    }
    expect(answers[1]).toBe(answers[0])
    expect(thrown).toEqual([thrown[0], thrown[0]])
    expect(thrown[0]).toMatch(/^ERR_/)
  })

  describe('what save answers', () => {
    const other: StoredResponse = {
      status: 409,
      headers: [
        ['Content-Type', 'text/plain'],
        ['Vary', 'Accept'],
      ],
      body: Buffer.from('other'),
    }
    const middleware: RequestHandler = (_req, res, next) => {
      res.set('X-Outer', '1').vary('Origin')
      next()
    }
    const lines = (raw: Buffer): string[] => withoutDate(raw).split('\r\n')

    it.each<[string, RequestHandler]>([
      ['json', (_req, res) => void res.set('X-Outer', '2').cookie('a', '1').status(201).json({})],
      ['an explicit head', (_req, res) => void res.writeHead(201, 'Mine', { 'X-Mine': '1' }).end('mine')],
      ['one write', (_req, res) => void (res.write('mine'), res.end())],
      [
        'events',
        (_req, res) => void (res.type('text/event-stream').flushHeaders(), setTimeout(() => res.end('mine'), 20)),
      ],
      ['much at once', (_req, res) => void res.end(Buffer.alloc(2 * MAX_BYTES))],
    ])('is sent in place of %s', async (_, handler) => {
      const raw = await sendRaw(
        await answering(
          handler,
          middleware,
          capturing(async () => other),
        ),
      )
      expect(lines(raw)).toEqual([
        'HTTP/1.1 409 Conflict',
        'X-Powered-By: Express',
        'X-Outer: 1',
        'Vary: Origin',
        'Vary: Accept',
        'Content-Type: text/plain',
        'Connection: close',
        'Content-Length: 5',
        '',
        'other',
      ])
    })

    it('has a Date of its own', async () => {
      const handler: RequestHandler = (_req, res) => void res.set('Date', 'long ago').send('mine')
      const answer = readAnswer(
        await sendRaw(
          await answering(
            handler,
            capturing(async () => other),
          ),
        ),
      )
      expect(Date.parse(answer.header('date')!)).toBeGreaterThan(Date.now() - 60_000)
    })

    it('is sent in place of all, when all is held', async () => {
      const handler: RequestHandler = (_req, res) => {
        res.flushHeaders()
        res.write('one')
        res.write('two')
        res.end('three')
      }
      const raw = await sendRaw(
        await answering(
          handler,
          middleware,
          capturing(async () => other, { hold: 'all' }),
        ),
      )
      expect(lines(raw)).toContain('other')
      expect(raw.toString()).not.toContain('one')
    })

    it.each<[string, RequestHandler]>([
      ['bytes', (_req, res) => void (res.write('one'), res.write('two'), res.end())],
      ['headers', (_req, res) => void (res.flushHeaders(), res.end('onetwo'))],
    ])('is ignored when %s have left', async (_, handler) => {
      const answer = readAnswer(
        await sendRaw(
          await answering(
            handler,
            capturing(async () => other),
          ),
        ),
      )
      expect([answer.status, answer.body.toString()]).toEqual([200, 'onetwo'])
    })

    it('lets the handler go on, which hears no error', async () => {
      const heard: unknown[] = []
      const done = Promise.withResolvers<void>()
      const handler: RequestHandler = async (_req, res) => {
        res.on('error', (error) => heard.push(error))
        res.type('text/event-stream')
        for (let i = 0; i < 5; i++) {
          await new Promise<void>((resolve) => res.write('mine', () => resolve()))
          await sleep(5)
        }
        res.end('mine')
        heard.push(res.write('late'))
        done.resolve()
      }
      const raw = await sendRaw(
        await answering(
          handler,
          capturing(async () => other),
        ),
      )
      await done.promise
      await sleep(5)
      expect(raw.toString()).not.toContain('mine')
      expect(heard).toEqual([false])
    })

    it.each([
      ['rejects', () => Promise.reject(new Error('the store is gone'))],
      [
        'throws',
        () => {
          throw new Error('a bug')
        },
      ],
    ])('changes nothing when it %s', async (_, save) => {
      const answer = readAnswer(await sendRaw(await answering((_req, res) => void res.json({ a: 1 }), capturing(save))))
      expect([answer.status, answer.json()]).toEqual([200, { a: 1 }])
    })
  })

  describe('to its handler', () => {
    /** Runs `handler` with and without a capture and hands both what it saw. */
    async function compare(handler: (res: Response, see: (value: unknown) => void) => unknown): Promise<unknown[]> {
      const seen: unknown[][] = []
      for (const before of [through, capturing(() => sleep(10).then(() => undefined))]) {
        const mine: unknown[] = []
        seen.push(mine)
        const over = Promise.withResolvers<void>()
        const port = await answering(async (_req, res) => {
          res.on('close', () => setImmediate(over.resolve))
          await handler(res, (value) => mine.push(value))
        }, before)
        await sendRaw(port)
        await over.promise
      }
      expect(seen[1]).toEqual(seen[0])
      return seen[0]!
    }
    const state = (res: Response): object => {
      const { headersSent, writableEnded, writableFinished, finished, writableNeedDrain, statusCode, destroyed } = res
      return { headersSent, writableEnded, writableFinished, finished, writableNeedDrain, statusCode, destroyed }
    }
    const attempt = (see: (value: unknown) => void, work: () => unknown): void => {
      try {
        see(work() === undefined ? 'nothing' : 'done')
      } catch (error) {
        see((error as { code: string }).code)
      }
    }

    it('an answer looks as if it had left', async () => {
      const seen = await compare((res, see) => {
        res.on('finish', () => see(['finish', state(res)]))
        res.on('close', () => see(['close', state(res)]))
        see(state(res))
        res.write('one')
        see(state(res))
        attempt(see, () => res.setHeader('x-late', '1'))
        attempt(see, () => res.writeHead(500))
        attempt(see, () => res.removeHeader('x-powered-by'))
        res.end('two', () => see('ended'))
        see([res.headersSent, res.writableEnded, res.finished])
        see(res.getHeader('x-powered-by'))
      })
      expect(seen).toContain('ERR_HTTP_HEADERS_SENT')
    })

    it('what comes after the end is refused by Node', async () => {
      const seen = await compare((res, see) => {
        res.on('error', (error: Error & { code?: string }) => see(error.code))
        res.end('one')
        see(res.write('two'))
        res.write('three', (error) => see((error as { code?: string } | null)?.code))
        res.end('four')
        res.end()
      })
      expect(seen).toContain('ERR_STREAM_WRITE_AFTER_END')
    })

    it.each<[string, RequestHandler]>([
      ['throws', (_req, res) => (res.json({ id: 1 }), fail())],
      ['goes on with an error', (_req, res, next) => (res.json({ id: 1 }), next(new Error('behind')))],
      ['answers twice', (_req, res) => void (res.json({ id: 1 }), res.json({ id: 2 }))],
      ['writes, and throws', (_req, res) => (res.write('1'), res.end('2'), fail())],
      ['destroys the connection', (req, res) => (res.json({ id: 1 }), req.socket.destroy())],
    ])('has answered all the same when it %s behind its answer', async (_, handler) => {
      const late: Save = () => sleep(20, undefined)
      const [captured, plain] = [await answering(handler, capturing(late)), await answering(handler, through)]
      const whole = withoutDate(await sendRaw(plain))
      expect(readAnswer(Buffer.from(whole)).status).toBe(200)
      expect(withoutDate(await sendRaw(captured))).toBe(whole)
    })

    it.each([
      ['write', (res: Response, done: () => void) => void (res.write('a', done), res.end())],
      ['write with encoding', (res: Response, done: () => void) => void (res.write('a', 'utf8', done), res.end())],
      ['end', (res: Response, done: () => void) => void res.end(done)],
      ['end with a chunk', (res: Response, done: () => void) => void res.end('a', done)],
      ['end with encoding', (res: Response, done: () => void) => void res.end('a', 'latin1', done)],
    ])('the callback of %s comes once', async (_, write) => {
      const seen = await compare((res, see) => write(res, () => see('done')))
      expect(seen).toEqual(['done'])
    })

    it('a slow client is felt: false from write, then drain, and little is kept', async () => {
      const piece = Buffer.alloc(16_384, 'x')
      let refusals = 0
      let longest = 0
      const handler: RequestHandler = async (_req, res) => {
        for (let i = 0; i < 2_000; i++) {
          if (res.write(piece)) continue
          refusals++
          longest = Math.max(longest, res.writableLength)
          await once(res, 'drain')
        }
        res.end()
      }
      const port = await answering(
        handler,
        capturing(() => sleep(50).then(() => undefined)),
      )
      const socket = open(port, {}, 0).pause()
      await until('it is felt', 30_000, async () => refusals > 0 || undefined)
      await sleep(300)
      const before = refusals
      let received = 0
      for await (const chunk of socket) received += (chunk as Buffer).length
      expect(received).toBeGreaterThan(2_000 * 16_384)
      expect(refusals).toBeGreaterThan(before)
      expect(longest).toBeLessThan(1_000_000)
    })
  })

  describe('when its client leaves', () => {
    const parts = ['one', 'two', 'three', 'four']

    it.each([0, 1, 2, 3])('after %d parts the handler goes on, and all of it is saved', async (after) => {
      const seen = Promise.withResolvers<Captured>()
      const left = Promise.withResolvers<void>()
      const writes: unknown[] = []
      const client: { socket?: Socket } = {}
      const handler: RequestHandler = async (_req, res) => {
        res.on('error', (error) => writes.push(error))
        for (const [i, part] of parts.entries()) {
          if (i === after) {
            client.socket!.destroy()
            await once(res, 'close')
            left.resolve()
          }
          if (i === 1) writes.push(res.write(part))
          else await new Promise<void>((resolve, reject) => res.write(part, (e) => (e ? reject(e) : resolve())))
        }
        res.end()
      }
      const port = await answering(
        handler,
        capturing(async (captured) => {
          seen.resolve(captured)
          return undefined
        }),
      )
      client.socket = open(port, {}, 0)
      await left.promise
      expect(await seen.promise).toMatchObject({ kind: 'whole', response: { body: Buffer.from('onetwothreefour') } })
      expect(writes).toEqual([true])
    })

    it('while it is saved, the answer is told as one that did not arrive', async () => {
      const saving = Promise.withResolvers<void>()
      const saved = Promise.withResolvers<undefined>()
      const ended = Promise.withResolvers<object>()
      const port = await answering(
        (_req, res) => void res.json({}),
        capturing(
          () => {
            saving.resolve()
            return saved.promise
          },
          { see: (x) => x.onEnd(ended.resolve) },
        ),
      )
      const socket = open(port, {}, 0)
      await saving.promise
      socket.destroy()
      expect(await ended.promise).toMatchObject({ aborted: true })
      saved.resolve(undefined)
      await sleep(10)
    })

    it('a source that is destroyed with it ends nothing', async () => {
      const seen: Captured[] = []
      const failed = Promise.withResolvers<unknown>()
      const endless = async function* (): AsyncGenerator<string> {
        for (;;) {
          yield 'more'
          await sleep(1)
        }
      }
      const port = await answering(
        (_req, res) => void pipeline(Readable.from(endless()), res).catch(failed.resolve),
        capturing(async (captured) => void seen.push(captured)),
      )
      const socket = open(port, {}, 0)
      await once(socket, 'data')
      socket.destroy()
      expect(await failed.promise).toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' })
      await sleep(20)
      expect(seen).toEqual([])
    })
  })

  describe('broken off by its handler', () => {
    it.each<[string, RequestHandler]>([
      ['before a byte', (_req, res) => void res.destroy()],
      ['in the middle', (_req, res) => void (res.write('one'), res.write('two'), res.destroy(new Error('broken')))],
      ['after a head', (_req, res) => void (res.writeHead(200), res.destroy())],
      ['before events', (_req, res) => void (res.destroy(), res.type('text/event-stream').write('data: 1'))],
    ])('%s it is abandoned', async (_, handler) => {
      const seen: Captured[] = []
      const port = await answering(
        handler,
        capturing(async (captured) => void seen.push(captured)),
      )
      await sendRaw(port).catch(() => undefined)
      expect(seen).toEqual([{ kind: 'abandoned' }])
    })

    it.each<[string, (res: Response) => void]>([
      ['socket', () => {}],
      ['socket, and then by its own', (res) => void res.destroy()],
    ])('by the %s it may still end', async (_, then) => {
      const seen = Promise.withResolvers<Captured>()
      const port = await answering(
        async (_req, res) => {
          res.write('one')
          res.socket!.destroy()
          await once(res, 'close')
          then(res)
          res.end('two')
        },
        capturing(async (captured) => {
          seen.resolve(captured)
          return undefined
        }),
      )
      await sendRaw(port).catch(() => undefined)
      expect(await seen.promise).toMatchObject({ kind: 'whole', response: { body: Buffer.from('onetwo') } })
    })
  })

  describe('with compression', () => {
    const text = 'compress me '.repeat(500)
    const handlers: [string, RequestHandler][] = [
      ['send', (_req, res) => void res.send(text)],
      [
        'writes',
        async (_req, res) => {
          for (let i = 0; i < 6_000; i += 600) {
            if (!res.write(text.slice(i, i + 600))) await once(res, 'drain')
          }
          res.end(text.slice(6_000))
        },
      ],
      ['an explicit head', (_req, res) => void res.writeHead(200, { 'X-A': '1' }).end(text)],
      ['a stream', (_req, res) => void Readable.from([text.slice(0, 100), text.slice(100)]).pipe(res)],
      ['an end after the end', (_req, res) => void (res.send(text), res.end())],
    ]

    it.each(handlers)('outside, what is kept is not compressed: %s', async (_, handler) => {
      const seen: Captured[] = []
      const save: Save = (captured) => sleep(5).then(() => void seen.push(captured))
      const answer = readAnswer(await sendRaw(await answering(handler, zipping, capturing(save))))
      expect(answer.header('content-encoding')).toBe('gzip')
      expect(gunzipSync(answer.body).toString()).toBe(text)
      expect(seen).toMatchObject([{ kind: 'whole', response: { body: Buffer.from(text) } }])
      expect(JSON.stringify(seen)).not.toMatch(/content-encoding/i)
    })

    it.each(handlers)('behind, what is kept says so: %s', async (_, handler) => {
      const seen: Captured[] = []
      const save: Save = (captured) => sleep(5).then(() => void seen.push(captured))
      const answer = readAnswer(await sendRaw(await answering(handler, capturing(save), zipping)))
      expect(gunzipSync(answer.body).toString()).toBe(text)
      expect(seen[0]).toMatchObject({ response: { headers: expect.arrayContaining([['Content-Encoding', 'gzip']]) } })
    })
  })

  describe('with middleware outside', () => {
    it('that knows two arguments of end, callbacks come all the same', async () => {
      const ended = Promise.withResolvers<void>()
      const before: RequestHandler = (_req, res, next) => {
        const { end } = res
        res.end = ((chunk: unknown, encoding: BufferEncoding) => end.call(res, chunk, encoding)) as typeof end
        next()
      }
      const port = await answering(
        (_req, res) => void res.end('x', ended.resolve),
        before,
        capturing(async () => undefined),
      )
      await sendRaw(port)
      await ended.promise
    })

    it('that throws when the head leaves, the connection ends', async () => {
      const before: RequestHandler = (_req, res, next) => {
        res.writeHead = () => {
          throw new Error('a bug')
        }
        next()
      }
      const port = await answering(
        (_req, res) => void res.send('x'),
        before,
        capturing(async () => undefined),
      )
      await expect(sendRaw(port)).resolves.toHaveLength(0)
    })
  })

  it('keeps answers of one connection in order', async () => {
    const port = await answering(
      (req, res) => void setTimeout(() => res.send(req.url), req.url === '/1' ? 20 : 1),
      capturing(() => sleep(5).then(() => undefined)),
    )
    const client = listen(port, 'GET', '/1', 'keep-alive')
    client.socket.write('GET /2 HTTP/1.1\r\nHost: t\r\n\r\nGET /3 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n')
    await client.closed
    expect(
      client
        .bytes()
        .toString()
        .match(/\/\d$|\/\d(?=HTTP)/g),
    ).toEqual(['/1', '/2', '/3'])
  })

  it('is one an answer', async () => {
    let thrown: unknown
    const port = await answering(
      (_req, res) => void res.send('ok'),
      capturing(async () => undefined, {
        see(x) {
          x.capture({ maxBytes: 1, hold: 'last' }, async () => undefined)
          const capture = x.capture.bind(x)
          x.capture = (...args) => {
            try {
              capture(...args)
            } catch (error) {
              thrown = error
            }
          }
        },
      }),
    )
    await sendRaw(port)
    expect(thrown).toMatchObject({ name: 'HttpError', code: 'CAPTURE_TWICE' })
  })
})

describe('the exchange', () => {
  it('hides a request header from the framework, and shows the head before it leaves', async () => {
    const heads: unknown[] = []
    const { express } = frameworks[0]!
    const app = express()
    app.use((req, res, next) => {
      const x = exchanges.of(req, res, req)
      expect(x.header('If-None-Match')).toBe('*')
      x.hideHeader('If-None-Match')
      expect(x.header('If-None-Match')).toBe('*')
      x.onHead((status, headers) => {
        heads.push([status, headers])
        x.setHeader('X-Last', 'moment')
      })
      next()
    })
    app.get('/send', (_req, res) => void res.send('fresh?'))
    app.get('/head', (_req, res) => void res.writeHead(203, 'Mine', ['X-A', '1', 'X-A', '2'] as never).end())
    app.get('/flush', (_req, res) => {
      res.write('one')
      res.end('two')
    })
    const one = await serve(app)
    const answers = []
    for (const path of ['/send', '/head', '/flush']) {
      answers.push(readAnswer(await sendRaw(one.port, { path, headers: [['If-None-Match', '*']] })))
    }
    await one.close()
    expect(answers.map(({ status, header }) => [status, header('x-last')])).toEqual([
      [200, 'moment'],
      [203, 'moment'],
      [200, 'moment'],
    ])
    expect(heads).toEqual([
      [200, expect.arrayContaining([['Content-Length', '6']])],
      [
        203,
        [
          ['X-Powered-By', 'Express'],
          ['X-A', '1'],
          ['X-A', '2'],
        ],
      ],
      [200, [['X-Powered-By', 'Express']]],
    ])
  })
})

/** Installs a capture, as http does it. */
function capturing(
  save: Save,
  {
    hold = 'last',
    see,
  }: { hold?: 'last' | 'all'; see?: (x: { -readonly [K in keyof Exchange]: Exchange[K] }) => void } = {},
): RequestHandler {
  return (req, res, next) => {
    const x = exchanges.of(req, res, req)
    see?.(x)
    x.capture({ maxBytes: MAX_BYTES, hold }, save)
    next()
  }
}

/** In place of a capture: a comparison has as many middlewares. */
const through: RequestHandler = (_req, _res, next) => next()

/** A request whose answer is looked at while it comes. */
function listen(port: number, method: string, path = '/', connection = 'close') {
  const chunks: Buffer[] = []
  const socket = connect(port, '127.0.0.1').on('data', (chunk) => chunks.push(chunk))
  socket.write(`${method} ${path} HTTP/1.1\r\nHost: test\r\nConnection: ${connection}\r\n\r\n`)
  return { socket, bytes: () => Buffer.concat(chunks), closed: once(socket, 'close') }
}

function withoutDate(raw: Buffer): string {
  return raw.toString('latin1').replace(/^Date: .*\r\n/m, '')
}

function hasLength({ headers }: StoredResponse): boolean {
  return headers.some(([name]) => name.toLowerCase() === 'content-length')
}
