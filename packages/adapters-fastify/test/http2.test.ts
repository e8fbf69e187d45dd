import { once } from 'node:events'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import Fastify from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { keelson } from '@keelson/fastify'
import { createHttp, responseCodec } from '@keelson/http'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { askHttp2 } from '../../http/test/ask-http2.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

it('holds over HTTP/2 too: ids, keys, problems, mounts, draining', async () => {
  const app = Fastify({ http2: true })
  const http = createHttp({ idempotency: createIdempotency({ store: memoryStore() }), scope: () => 'm1' })
  await app.register(keelson, { http, problems: 'all' })
  let runs = 0
  app.post('/orders', { config: { keelson: { idempotent: {} } } }, async (_request, reply) =>
    reply.code(201).send({ run: ++runs }),
  )
  app.post('/stream', { config: { keelson: { idempotent: {} } } }, async (_request, reply) =>
    reply.send(Readable.from(['run ', String(++runs)])),
  )
  app.get('/report', { config: { keelson: { idempotent: {} } } }, async () => 'report')
  app.keelson.mount('/api', async (request) => new Response(request.url))
  const { drain } = app.keelson.shutdown()
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const session = connect(`http://127.0.0.1:${port}`)
  closing.push(
    () => session.destroy(),
    () => app.close(),
  )

  for (const path of ['/orders', '/stream']) {
    const keyed = { 'idempotency-key': `key-${path}` }
    const [first, again] = [await askHttp2(session, path, keyed), await askHttp2(session, path, keyed)]
    expect(again.head).toMatchObject({ ':status': first.head[':status'], 'idempotent-replayed': 'true' })
    expect(again.body).toBe(first.body)
    expect(first.head['x-correlation-id']).toBeDefined()
  }
  expect(runs).toBe(2)
  // A body that the framework does not read is read all the same, where its bytes count.
  expect((await askHttp2(session, '/report', { 'idempotency-key': 'key-1' }, 'GET')).body).toBe('report')
  expect((await askHttp2(session, '/none')).head).toMatchObject({
    ':status': 404,
    'content-type': 'application/problem+json',
  })
  expect((await askHttp2(session, '/api/a')).body).toBe(`http://127.0.0.1:${port}/a`)
  session.close()
  await drain(new AbortController().signal)
})

it('a client that cancels its stream changes nothing: the handler goes on, and the retry gets its answer', async () => {
  const app = Fastify({ http2: true })
  const lines: { aborted?: boolean; bytes?: number }[] = []
  const nothing = (): void => {}
  const logger = { debug: nothing, warn: nothing, error: nothing, info: (line: object) => void lines.push(line) }
  const idempotency = createIdempotency({ store: memoryStore(), wait: '1m' })
  await app.register(keelson, { http: createHttp({ idempotency, scope: () => 'm1', logger }) })
  const begun = Promise.withResolvers<void>()
  const release = Promise.withResolvers<void>()
  let runs = 0
  app.post('/orders', { config: { keelson: { idempotent: {} } } }, async () => {
    begun.resolve()
    await release.promise
    return { run: ++runs }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const session = connect(`http://127.0.0.1:${port}`)
  closing.push(
    () => session.destroy(),
    () => app.close(),
  )
  const keyed = { 'idempotency-key': 'key-1', 'content-type': 'application/json' }
  const first = session.request({ ':method': 'POST', ':path': '/orders', ...keyed })
  first.on('error', () => {}).end('{"a":1}')
  await begun.promise
  first.close(8)
  await once(first, 'close')
  const retry = askHttp2(session, '/orders', keyed)
  while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  release.resolve()
  const { head, body } = await retry
  expect([head['idempotent-replayed'], body, runs]).toEqual(['true', '{"run":1}', 1])
  expect(lines[0]).toMatchObject({ aborted: true })
  expect(lines[0]!.bytes).toBeGreaterThanOrEqual(0)
})

describe('an answer past the framework', () => {
  async function start(store = memoryStore()) {
    const app = Fastify({ http2: true })
    const runs = { refused: 0, failed: 0, hijacked: 0 }
    const http = createHttp({ idempotency: createIdempotency({ store }), scope: () => 'm1' })
    await app.register(keelson, { http, problems: 'all' })
    const config = { keelson: { idempotent: {} } }
    app.post('/refused', { config }, async () => {
      throw Object.assign(new Error(`no tea ${++runs.refused}`), { statusCode: 418, expose: true })
    })
    app.post('/failed', { config }, async () => {
      throw new Error(`boom ${++runs.failed}`)
    })
    app.post('/hijacked', { config }, (_request, reply) => {
      const { raw } = reply.hijack()
      raw.setHeader('X-Own', 'yes')
      raw.end(`run ${++runs.hijacked}`)
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const session = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
    closing.push(
      () => session.destroy(),
      () => app.close(),
    )
    return { session, runs }
  }
  const keyed = { 'idempotency-key': 'k' }

  it('is given again over HTTP/2, if it is written at once', async () => {
    const { session, runs } = await start()
    for (const path of ['/refused', '/hijacked']) {
      const first = await askHttp2(session, path, keyed)
      const again = await askHttp2(session, path, keyed)
      expect([first.head['idempotent-replayed'], again.head['idempotent-replayed']]).toEqual([undefined, 'true'])
      expect([again.head[':status'], again.head['x-own']]).toEqual([first.head[':status'], first.head['x-own']])
      if (path === '/hijacked') expect(again.body).toBe(first.body)
    }
    await askHttp2(session, '/failed', keyed)
    expect((await askHttp2(session, '/failed', keyed)).head[':status']).toBe(500)
    expect(runs).toEqual({ refused: 1, failed: 2, hijacked: 1 })
  })

  it('gives way over HTTP/2 to that of another run', async () => {
    const store = memoryStore()
    const winner = { status: 201, headers: [['X-Winner', 'yes']], body: Buffer.from('winner') } as const
    const losing: typeof store = {
      ...store,
      async settle(ref, own, _as, retainMs) {
        await store.settle(ref, own, { kind: 'done', bytes: responseCodec.encode(winner) }, retainMs)
        return 'lost'
      },
    }
    const { session } = await start(losing)
    for (const path of ['/refused', '/hijacked']) {
      const { head, body } = await askHttp2(session, path, keyed)
      expect([head[':status'], head['x-winner'], head['x-own'], body]).toEqual([201, 'yes', undefined, 'winner'])
    }
  })
})
