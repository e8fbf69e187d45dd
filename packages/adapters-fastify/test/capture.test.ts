import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify, { type FastifyInstance, type FastifyReply, type RouteHandlerMethod } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import type { Captured, StoredResponse } from '@keelson/http'
import { capturePayload, type PayloadCapture } from '@keelson/http/node'
import { until } from '../../../tools/servers/until.ts'
import { open, readAnswer, sendRaw } from '../../http/test/wire.ts'
import { MAX_BYTES } from '../../http/test/animal.ts'
import { zoo } from './zoo.ts'

type Save = (captured: Captured) => Promise<StoredResponse | undefined | void>

const running: FastifyInstance[] = []
afterEach(async () => {
  for (const app of running.splice(0)) await app.close()
})

/** An application whose only handler is captured, as the plugin does it; without `save` it is not. */
async function answering(
  handler: RouteHandlerMethod,
  save?: Save,
  o: { hold?: 'last' | 'all'; method?: string; build?: (app: FastifyInstance) => void } = {},
): Promise<number> {
  const app = Fastify({ forceCloseConnections: true, exposeHeadRoutes: false })
  running.push(app)
  o.build?.(app)
  const captures = new WeakMap<FastifyReply, PayloadCapture>()
  app.route({
    method: o.method ?? 'POST',
    url: '/',
    preHandler(_request, reply, done) {
      if (save !== undefined)
        captures.set(reply, capturePayload(reply, { maxBytes: MAX_BYTES, hold: o.hold ?? 'last' }, save as never))
      done()
    },
    onSend(_request, reply, payload, done) {
      const capture = captures.get(reply)
      if (capture === undefined) return done(null, payload)
      capture
        .payload(payload)
        .then((held) => done(null, held))
        .catch(done)
    },
    handler,
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as AddressInfo).port
}

describe.each(['last', 'all'] as const)('a payload capture that holds %s', (hold) => {
  it.each(zoo)(
    'leaves every byte as it is: $name',
    async ({ handler, method = 'POST', kind = 'whole', status = 200 }) => {
      const seen: Captured[] = []
      const port = await answering(handler, async (captured) => void seen.push(captured), { hold, method })
      const bare = await answering(handler, undefined, { method })
      const [captured, plain] = [await sendRaw(port, { method }), await sendRaw(bare, { method })]
      expect(withoutDate(captured)).toBe(withoutDate(plain))
      const answer = readAnswer(plain)
      expect(answer.status).toBe(status)
      expect(seen.map((one) => one.kind)).toEqual([kind])
      if (seen[0]?.kind !== 'whole') return
      const { response } = seen[0]
      const own = answer.lines.filter(
        ([name]) => !/^(date|connection|keep-alive|transfer-encoding|trailer)$/i.test(name),
      )
      // Fastify and Node add a length that the handler did not give.
      const hasLength = response.headers.some(([name]) => name.toLowerCase() === 'content-length')
      const headers = response.headers.map(([name, value]) => [name.toLowerCase(), value])
      expect({ ...response, headers, body: Buffer.from(response.body) }).toEqual({
        status,
        headers: own
          .map(([name, value]) => [name.toLowerCase(), value])
          .filter(([name]) => name !== 'content-length' || hasLength),
        body: answer.body,
      })
    },
  )

  it.each(zoo)('lets the last byte go only when it is saved: $name', async ({ handler, method = 'POST' }) => {
    const whole = readAnswer(await sendRaw(await answering(handler, undefined, { method }), { method }))
    const saving = Promise.withResolvers<Captured>()
    const saved = Promise.withResolvers<undefined>()
    const save: Save = (captured) => {
      saving.resolve(captured)
      return saved.promise
    }
    const port = await answering(handler, save, { hold, method })
    const socket = open(port, { method }, 0)
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    await saving.promise
    await sleep(20)
    const early = readAnswer(Buffer.concat(chunks))
    if (whole.body.length > 0) expect(early.body.length).toBeLessThan(whole.body.length)
    else expect(early.status).toBeNaN()
    saved.resolve(undefined)
    await once(socket, 'close')
    expect(readAnswer(Buffer.concat(chunks)).body).toEqual(whole.body)
  })
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
  const outer = (app: FastifyInstance): void => {
    app.addHook('onRequest', (_request, reply, done) => {
      reply.header('x-outer', '1').header('vary', 'Origin')
      done()
    })
  }

  it.each<[string, RouteHandlerMethod]>([
    ['an object', (_request, reply) => reply.code(201).header('x-outer', '2').header('set-cookie', 'a=1').send({})],
    ['a stream', (_request, reply) => reply.send(Readable.from(['mine']))],
    ['a web Response', async () => new Response('mine', { status: 201 })],
    ['events', (_request, reply) => reply.type('text/event-stream').send(Readable.from(['mine']))],
    ['much at once', async () => Buffer.alloc(2 * MAX_BYTES)],
    ['a hijacked answer', (_request, reply) => void reply.hijack().raw.writeHead(201, { 'X-Mine': '1' }).end('mine')],
  ])('is sent in place of %s', async (name, handler) => {
    const raw = withoutDate(
      await sendRaw(await answering(handler, async () => other, { build: outer }), { method: 'POST' }),
    )
    const lines = raw.split('\r\n')
    expect(lines[0]).toBe('HTTP/1.1 409 Conflict')
    expect(lines).toContain('other')
    expect(raw).not.toMatch(/mine|set-cookie/i)
    // Who hijacks has left the framework's own headers behind.
    if (!name.includes('hijacked')) expect(raw).toMatch(/x-outer: 1\r\nvary: Origin\r\nvary: Accept\r\n/i)
  })

  it('is ignored when bytes have left', async () => {
    const handler: RouteHandlerMethod = (_request, reply) => reply.send(Readable.from(['one', 'two']))
    const answer = readAnswer(await sendRaw(await answering(handler, async () => other), { method: 'POST' }))
    expect([answer.status, answer.body.toString()]).toEqual([200, 'onetwo'])
  })

  it('changes nothing when it rejects', async () => {
    const save: Save = () => Promise.reject(new Error('the store is gone'))
    const answer = readAnswer(await sendRaw(await answering(async () => ({ a: 1 }), save), { method: 'POST' }))
    expect([answer.status, answer.json()]).toEqual([200, { a: 1 }])
  })
})

describe('an answer of a stream', () => {
  it('is felt by its source: a slow client stops it', async () => {
    let made = 0
    const source = new Readable({
      read() {
        this.push(made++ < 1_000 ? Buffer.alloc(65_536) : null)
      },
    })
    const port = await answering(
      (_request, reply) => reply.send(source),
      () => sleep(50).then(() => undefined),
    )
    const socket = open(port, { method: 'POST' }, 0).pause()
    await until('it is read', 30_000, async () => made > 0 || undefined)
    await sleep(400)
    expect(made).toBeLessThan(500)
    let received = 0
    for await (const chunk of socket) received += (chunk as Buffer).length
    expect(received).toBeGreaterThan(1_000 * 65_536)
  })

  it.each([0, 1, 2])('whose client leaves after %d parts is kept whole', async (after) => {
    const seen = Promise.withResolvers<Captured>()
    const left = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    async function* parts(reply: FastifyReply): AsyncGenerator<string> {
      for (const [i, part] of ['one', 'two', 'three'].entries()) {
        if (i === after) {
          left.resolve()
          await once(reply.raw, 'close')
        }
        yield part
      }
      await go.promise
    }
    const port = await answering(
      (_request, reply) => reply.send(Readable.from(parts(reply))),
      async (captured) => seen.resolve(captured),
    )
    const socket = open(port, { method: 'POST' }, 0)
    await left.promise
    socket.destroy()
    go.resolve()
    expect(await seen.promise).toMatchObject({ kind: 'whole', response: { body: Buffer.from('onetwothree') } })
  })

  it('whose client leaves is let go when it is not kept', async () => {
    const closed = Promise.withResolvers<void>()
    const endless = new Readable({ read() { setTimeout(() => this.push('data: 1\n\n'), 1) } }) // prettier-ignore
    endless.on('close', closed.resolve)
    const port = await answering(
      (_request, reply) => reply.type('text/event-stream').send(endless),
      async () => undefined,
    )
    const socket = open(port, { method: 'POST' }, 0)
    await once(socket, 'data')
    socket.destroy()
    await closed.promise
  })

  it.each(['fails', 'is destroyed'])('that %s in the middle is abandoned, and its connection ends', async (how) => {
    const seen: Captured[] = []
    const parts = ['one', 'two']
    // Each step when its reader asks for it: the answer is under way by then.
    const source = new Readable({
      read() {
        const part = parts.shift()
        if (part !== undefined) setTimeout(() => this.push(part), 5)
        else setTimeout(() => this.destroy(how === 'fails' ? new Error('gone') : undefined), 5)
      },
    })
    const port = await answering(
      (_request, reply) => reply.send(source),
      async (captured) => void seen.push(captured),
    )
    const raw = await sendRaw(port, { method: 'POST' }).catch(() => Buffer.from(''))
    expect(raw.toString()).not.toContain('two')
    expect(seen).toEqual([{ kind: 'abandoned' }])
  })

  it('of things that are no bytes is an error of its handler', async () => {
    const seen: Captured[] = []
    const port = await answering(
      (_request, reply) => reply.send(Readable.from([{ a: 1 }])),
      async (captured) => void seen.push(captured),
    )
    expect(readAnswer(await sendRaw(port, { method: 'POST' })).status).toBe(500)
    expect(seen).toMatchObject([{ kind: 'whole', response: { status: 500 } }])
  })
})

it('an answer that was written past the framework is not kept, and its key is free', async () => {
  const seen = Promise.withResolvers<Captured>()
  const port = await answering(
    (_request, reply) => void reply.raw.end('past'),
    async (captured) => seen.resolve(captured),
  )
  const answer = readAnswer(await sendRaw(port, { method: 'POST' }))
  expect(answer.body.toString()).toBe('past')
  expect(await seen.promise).toEqual({ kind: 'abandoned' })
})

it('a client that leaves before its handler has answered changes nothing', async () => {
  const seen = Promise.withResolvers<Captured>()
  const begun = Promise.withResolvers<void>()
  const port = await answering(
    async (_request, reply) => {
      begun.resolve()
      await once(reply.raw, 'close')
      return { done: true }
    },
    async (captured) => seen.resolve(captured),
  )
  const socket = connect(port, '127.0.0.1')
  socket.write('POST / HTTP/1.1\r\nHost: t\r\n\r\n')
  await begun.promise
  socket.destroy()
  expect(await seen.promise).toMatchObject({ kind: 'whole', response: { body: Buffer.from('{"done":true}') } })
})

function withoutDate(raw: Buffer): string {
  return raw.toString('latin1').replace(/^date: .*\r\n/im, '')
}

it('an answer that node:http refuses is answered by the framework, and not kept', async () => {
  const seen = Promise.withResolvers<Captured>()
  const handler: RouteHandlerMethod = (_request, reply) => reply.header('x-bad', 'a\nb').send('x')
  const answers = [
    await sendRaw(await answering(handler), { method: 'POST' }),
    await sendRaw(await answering(handler, async (captured) => seen.resolve(captured)), { method: 'POST' }),
  ]
  const [plain, captured] = answers.map(readAnswer)
  expect([captured!.status, captured!.body]).toEqual([500, plain!.body])
  expect(await seen.promise).toEqual({ kind: 'abandoned' })
})

it.each<[string, (reply: FastifyReply) => unknown]>([
  ['resolves', () => undefined],
  ['resolves with another', () => 'other'],
  ['throws', () => Promise.reject(new Error('too late'))],
  ['sends another', (reply) => reply.send('other')],
])('an async handler that sends its answer, and then %s, has answered', async (_, then) => {
  const seen: Captured[] = []
  const handler: RouteHandlerMethod = async (_request, reply) => {
    reply.send('mine')
    return then(reply)
  }
  const port = await answering(handler, async (captured) => {
    seen.push(captured)
    await sleep(30)
    return undefined
  })
  const answer = readAnswer(await sendRaw(port, { method: 'POST' }))
  expect([answer.status, answer.body.toString()]).toEqual([200, 'mine'])
  expect(seen).toMatchObject([{ kind: 'whole', response: { body: Buffer.from('mine') } }])
})
