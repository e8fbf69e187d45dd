import { once } from 'node:events'
import { request as clientRequest, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { connect as connectHttp2, constants, createServer as createHttp2Server } from 'node:http2'
import { connect, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { createHttp, type FetchHandler } from '@keelson/http'
import { nodeExchanges, type NodeExchange } from '@keelson/http/node'
import { until } from '../../../../tools/servers/until.ts'
import { open, readAnswer, send, sendRaw, serve, type Served } from '../wire.ts'

const running: Served[] = []
afterEach(async () => {
  for (const one of running.splice(0)) await one.close()
})

type Before = (req: IncomingMessage, res: ServerResponse, x: NodeExchange) => unknown

/** A server whose every request goes to `api`. */
async function mounted(api: FetchHandler, before: Before = () => {}): Promise<number> {
  const http = createHttp()
  const exchanges = nodeExchanges<IncomingMessage>({ target: (req) => req.url!, route: () => '(none)' }, 100_000)
  const one = await serve(async (req, res) => {
    const x = exchanges.of(req, res, req)
    http.begin(x)
    await before(req, res, x)
    await x.serve(http, api, req.url!)
  })
  running.push(one)
  return one.port
}

const endless = (onCancel: (reason?: unknown) => void, everyMs = 1): ReadableStream<Uint8Array> =>
  new ReadableStream({
    async pull(controller) {
      await sleep(everyMs)
      controller.enqueue(Buffer.alloc(16_384, 'x'))
    },
    cancel: onCancel,
  })

describe('a request of node:http as a web Request', () => {
  it('has method, URL, headers and body as they came', async () => {
    const seen: unknown[] = []
    const port = await mounted(async (request, info) => {
      const { method, url, headers } = request
      const { accept, cookie, 'x-twice': twice } = Object.fromEntries(headers)
      seen.push({ method, url, accept, cookie, twice, text: await request.text(), info })
      return new Response('ok')
    })
    await send(port, {
      method: 'PUT',
      path: '//a/../b?x=1&y=%20?',
      headers: [
        ['Accept', 'text/plain'],
        ['Cookie', 'a=1'],
        ['X-Twice', '1'],
        ['x-twice', '2'],
        ['X-Forwarded-Proto', 'https'],
        ['X-Forwarded-Host', 'evil.example'],
      ],
      body: 'höhe',
    })
    expect(seen).toEqual([
      {
        method: 'PUT',
        url: 'http://test//b?x=1&y=%20?',
        accept: 'text/plain',
        cookie: 'a=1',
        twice: '1, 2',
        text: 'höhe',
        info: { remoteAddress: '127.0.0.1' },
      },
    ])
  })

  it('knows its path also in the absolute form of a target', async () => {
    const port = await mounted(async ({ url }) => new Response(url))
    const answer = await send(port, { path: 'http://other.example/a?b' })
    expect(answer.body.toString()).toBe('http://test/a?b')
  })

  it.each(['a/b', 'user@host', 'a b', 'host:port', '', '[::1', 'a?b', 'a#b', 'a:99999', '256.1.1.1', 'a%zz'])(
    'is refused with the host %j',
    async (host) => {
      let wasAsked = false
      const port = await mounted(async () => ((wasAsked = true), new Response('ok')))
      const answer = await sendHost(port, host)
      expect(answer.status).toBe(400)
      expect(wasAsked).toBe(false)
    },
  )

  it.each(['shop.example', 'shop.example:8080', '[::1]:3000', '127.0.0.1', 'a_b.local'])(
    'takes the host %j',
    async (host) => {
      const port = await mounted(async ({ url }) => new Response(url))
      expect((await sendHost(port, host)).body.toString()).toBe(`http://${host}/`)
    },
  )

  it('of a method that the web has not is 501', async () => {
    const port = await mounted(async () => new Response('ok'))
    const answer = await send(port, { method: 'TRACE' })
    expect([answer.status, answer.json()['code']]).toEqual([501, 'method-not-implemented'])
  })

  it('streams its body in: the API reads the first part before the last one was sent', async () => {
    const first = Promise.withResolvers<string>()
    const port = await mounted(async ({ body }) => {
      const parts: string[] = []
      for await (const chunk of body!) {
        parts.push(Buffer.from(chunk).toString())
        first.resolve(parts[0]!)
      }
      return new Response(parts.join('|'))
    })
    const socket = open(port, { method: 'POST' }, 6)
    socket.write('one')
    expect(await first.promise).toBe('one')
    socket.write('two')
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    expect(readAnswer(Buffer.concat(chunks)).body.toString()).toBe('one|two')
  })

  it('holds a client back that sends faster than the API reads', async () => {
    const go = Promise.withResolvers<void>()
    let received = 0
    const port = await mounted(async ({ body }) => {
      for await (const chunk of body!) {
        received += chunk.length
        await go.promise
      }
      return new Response(String(received))
    })
    const total = 64 * 1024 * 1024
    const client = clientRequest({ port, host: '127.0.0.1', method: 'POST', headers: { 'Content-Length': total } })
    const answered = once(client, 'response') as Promise<[IncomingMessage]>
    let sent = 0
    const piece = Buffer.alloc(65_536)
    const sending = (async () => {
      while (sent < total) {
        sent += piece.length
        if (!client.write(piece)) await once(client, 'drain')
      }
      client.end()
    })()
    await sleep(300)
    // What sockets hold.
    expect(sent).toBeLessThan(total / 2)
    go.resolve()
    await sending
    const [answer] = await answered
    expect(Buffer.concat(await answer.toArray()).toString()).toBe(String(total))
  })

  it('has the bytes as received when a body parser has read them before', async () => {
    const port = await mounted(
      async (request) => new Response(await request.text()),
      async (req) => {
        for await (const chunk of req) void chunk
      },
    )
    const answer = await send(port, { method: 'POST', body: '{"a": 1}' })
    expect(answer.body.toString()).toBe('{"a": 1}')
  })

  it('is no answer of the API when the bytes were lost before', async () => {
    const http = createHttp()
    const exchanges = nodeExchanges<IncomingMessage>({ target: (req) => req.url!, route: () => '(none)' }, 1_000)
    const one = await serve(async (req, res) => {
      for await (const chunk of req) void chunk
      const x = exchanges.of(req, res, req)
      await x.serve(http, async (r) => new Response(await r.text()), '/')
    })
    running.push(one)
    expect((await send(one.port, { method: 'POST', body: 'x' })).status).toBe(500)
  })

  it('aborts when its client leaves', async () => {
    const aborted = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const port = await mounted(async ({ signal }) => {
      signal.addEventListener('abort', () => aborted.resolve())
      begun.resolve()
      await aborted.promise
      return new Response('nobody hears it')
    })
    const socket = open(port, {}, 0)
    await begun.promise
    socket.destroy()
    await aborted.promise
  })

  it('whose client leaves in the middle of its body fails to be read', async () => {
    const failed = Promise.withResolvers<Error>()
    const begun = Promise.withResolvers<void>()
    const port = await mounted(async (request) => {
      begun.resolve()
      await request.text().catch(failed.resolve)
      return new Response('nobody hears it')
    })
    const socket = open(port, { method: 'POST' }, 6)
    socket.write('one')
    await begun.promise
    socket.destroy()
    expect(await failed.promise).toBeInstanceOf(Error)
  })

  it.each<[string, FetchHandler]>([
    ['unread', async () => new Response('ok')],
    ['half read', async ({ body }) => (await body?.getReader().read(), new Response('ok'))],
    ['cancelled', async ({ body }) => (await body?.cancel(), new Response('ok'))],
  ])('whose body stays %s does not stop the connection', async (_, api) => {
    const port = await mounted(api)
    const large = Buffer.alloc(2_000_000)
    const head = `POST / HTTP/1.1\r\nHost: t\r\nContent-Length: ${large.length}\r\n`
    const pipelined = await exchangeRaw(port, [
      `${head}\r\n`,
      large,
      'GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n',
    ])
    expect(pipelined.toString('latin1').match(/HTTP\/1\.1 200/g)).toHaveLength(2)
  })
})

describe('a web Response by node:http', () => {
  const answering = (make: () => Response | Promise<Response>, before?: Before): Promise<number> =>
    mounted(async () => make(), before)

  it('has status, headers and each cookie of its own', async () => {
    const port = await answering(
      () => {
        const headers = new Headers({ 'X-Own': 'yes', Vary: 'Accept' })
        headers.append('Set-Cookie', 'a=1; Path=/')
        headers.append('Set-Cookie', 'b=2, 3')
        return new Response('hello', { status: 203, headers })
      },
      (_req, res) => void res.setHeader('Vary', 'Origin').setHeader('Set-Cookie', 'outer=0'),
    )
    const answer = await send(port)
    const values = (name: string): string[] =>
      answer.lines.filter(([one]) => one.toLowerCase() === name).map(([, v]) => v)
    expect([answer.status, answer.body.toString(), answer.header('x-own')]).toEqual([203, 'hello', 'yes'])
    expect(values('set-cookie')).toEqual(['outer=0', 'a=1; Path=/', 'b=2, 3'])
    expect(values('vary')).toEqual(['Origin', 'Accept'])
    // One chunk needs no chunked coding.
    expect(values('content-length')).toEqual(['5'])
  })

  it.each<[string, string, () => Response]>([
    ['HEAD', 'HEAD', () => new Response('its body', { headers: { 'Content-Length': '8' } })],
    ['204', 'GET', () => new Response(null, { status: 204 })],
    ['304', 'GET', () => new Response(null, { status: 304, headers: { ETag: '"1"' } })],
    ['nothing', 'GET', () => new Response()],
    ['an empty body', 'GET', () => new Response('')],
  ])('of %s has no body', async (_, method, make) => {
    const raw = await sendRaw(await answering(make), { method })
    expect(raw.toString('latin1').endsWith('\r\n\r\n')).toBe(true)
  })

  it('to HEAD lets its stream go', async () => {
    const cancelled = Promise.withResolvers<unknown>()
    await send(await answering(() => new Response(endless(cancelled.resolve))), { method: 'HEAD' })
    await cancelled.promise
  })

  it('leaves chunk by chunk, as they come: a head before the first one, too', async () => {
    const source = Promise.withResolvers<ReadableStreamDefaultController<Uint8Array>>()
    const port = await answering(
      () =>
        new Response(new ReadableStream({ start: source.resolve }), {
          headers: { 'Content-Type': 'text/event-stream' },
        }),
    )
    const socket = open(port, {}, 0)
    const seen = async (): Promise<string> => String((await once(socket, 'data'))[0])
    expect(await seen()).toMatch(/^HTTP\/1.1 200/)
    const controller = await source.promise
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      const arriving = seen()
      controller.enqueue(Buffer.from(event))
      expect(await arriving).toContain(event)
    }
    controller.close()
    await once(socket, 'close')
  })

  it('is flushed out of compression that stands outside', async () => {
    let flushes = 0
    const port = await answering(
      () =>
        new Response(
          new ReadableStream({
            async pull(controller) {
              await sleep(5)
              controller.enqueue(Buffer.from('x'))
              if (flushes > 1) controller.close()
            },
          }),
        ),
      (_req, res) => void Object.assign(res, { flush: () => flushes++ }),
    )
    await send(port)
    expect(flushes).toBeGreaterThan(1)
  })

  it('is pulled no faster than a slow client reads', async () => {
    let pulled = 0
    const port = await answering(
      () =>
        new Response(
          new ReadableStream({
            pull(controller) {
              pulled++
              controller.enqueue(Buffer.alloc(65_536))
              if (pulled === 1_000) controller.close()
            },
          }),
        ),
    )
    const socket = open(port, {}, 0).pause()
    await until('it is pulled', 30_000, async () => pulled > 0 || undefined)
    await sleep(300)
    expect(pulled).toBeLessThan(500)
    let received = 0
    for await (const chunk of socket) received += (chunk as Buffer).length
    expect(received).toBeGreaterThan(1_000 * 65_536)
  })

  it.each(['while it is sent', 'before a chunk came', 'behind backpressure'])(
    'is cancelled when its client leaves %s',
    async (when) => {
      const cancelled = Promise.withResolvers<unknown>()
      const begun = Promise.withResolvers<void>()
      const settled = Promise.withResolvers<unknown>()
      const http = createHttp()
      const exchanges = nodeExchanges<IncomingMessage>({ target: (req) => req.url!, route: () => '(none)' }, 1_000)
      const one = await serve((req, res) => {
        const x = exchanges.of(req, res, req)
        http.begin(x)
        const body =
          when === 'before a chunk came'
            ? new ReadableStream({ cancel: cancelled.resolve })
            : endless(cancelled.resolve, 0)
        x.serve(http, async () => (begun.resolve(), new Response(body)), '/').then(settled.resolve, settled.resolve)
      })
      running.push(one)
      const socket = open(one.port, {}, 0)
      if (when === 'while it is sent') await once(socket, 'data')
      else if (when === 'behind backpressure') {
        socket.pause()
        await begun.promise
        await sleep(200)
      } else await begun.promise
      socket.destroy()
      await cancelled.promise
      expect(await settled.promise).toBeUndefined()
    },
  )

  it.each(['HTTP/1.1', 'HTTP/2'])(
    'is cancelled, and never read, when its client left before it on %s',
    async (version) => {
      let pulled = 0
      const asked = Promise.withResolvers<void>()
      const left = Promise.withResolvers<void>()
      const cancelled = Promise.withResolvers<unknown>()
      const body = new ReadableStream(
        {
          pull(controller) {
            controller.enqueue(Buffer.from('x'))
            if (++pulled === 100) controller.close()
          },
          cancel: cancelled.resolve,
        },
        { highWaterMark: 0 },
      )
      const settled = Promise.withResolvers<void>()
      const exchanges = nodeExchanges<IncomingMessage>({ target: (req) => req.url!, route: () => '(none)' }, 1_000)
      const listener = (req: IncomingMessage, res: ServerResponse): void => {
        const x = exchanges.of(req, res, req)
        res.once('close', () => setImmediate(left.resolve))
        const api: FetchHandler = async () => {
          asked.resolve()
          await left.promise
          return new Response(body)
        }
        void x.serve(createHttp(), api, '/').then(settled.resolve)
      }
      const leave = await (version === 'HTTP/2' ? askingHttp2(listener) : askingHttp1(listener))
      await asked.promise
      leave()
      await settled.promise
      expect(pulled).toBe(0)
      await cancelled.promise
    },
  )

  it('whose body fails at once is a problem without its headers', async () => {
    const port = await answering(() => {
      const body = new ReadableStream({ pull: () => Promise.reject(new Error('the database is gone')) })
      return new Response(body, { headers: { ETag: '"1"', 'Content-Type': 'text/x' } })
    })
    const answer = await send(port)
    expect([answer.status, answer.header('content-type'), answer.header('etag')]).toEqual([
      500,
      'application/problem+json',
      undefined,
    ])
  })

  it('whose body fails later is broken off', async () => {
    const port = await answering(() => {
      let n = 0
      const body = new ReadableStream({
        async pull(controller) {
          await sleep(5)
          if (n++ === 2) throw new Error('the database is gone')
          controller.enqueue(Buffer.from('part'))
        },
      })
      return new Response(body)
    })
    const raw = await sendRaw(port)
    expect(raw.toString()).toContain('part')
    // The last chunk of a chunked body never came.
    expect(raw.toString().endsWith('0\r\n\r\n')).toBe(false)
  })

  it('of an API that throws is a problem', async () => {
    const port = await mounted(() => Promise.reject(new Error('a bug')))
    const answer = await send(port)
    expect([answer.status, answer.json()['code']]).toEqual([500, 'internal-error'])
  })

  it('that was read already is a problem', async () => {
    const port = await answering(async () => {
      const response = new Response('x')
      await response.text()
      return response
    })
    expect((await send(port)).status).toBe(500)
  })
})

/** Asks once; the answer leaves. */
async function askingHttp1(listener: RequestListener): Promise<() => void> {
  const one = await serve(listener)
  running.push(one)
  const socket = open(one.port, {}, 0)
  return () => void socket.destroy()
}

/** The same by a stream of HTTP/2. */
async function askingHttp2(listener: RequestListener): Promise<() => void> {
  const server = createHttp2Server(listener as never).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  onTestFinished(() => {
    session.destroy()
    server.close()
  })
  const stream = session.request({ ':path': '/' })
  return () => stream.close(constants.NGHTTP2_CANCEL)
}

/** Bytes of one connection, until the server closes it. */
async function exchangeRaw(port: number, parts: readonly (string | Buffer)[]): Promise<Buffer> {
  const socket = connect(port, '127.0.0.1')
  for (const part of parts) socket.write(part)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

async function sendHost(port: number, host: string): Promise<ReturnType<typeof readAnswer>> {
  return readAnswer(await exchangeRaw(port, [`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`]))
}
