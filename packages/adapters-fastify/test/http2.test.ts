import { once } from 'node:events'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import Fastify from 'fastify'
import { afterEach, expect, it } from 'vitest'
import { keelson } from '@keelson/fastify'
import { createHttp } from '@keelson/http'
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
  const idempotency = createIdempotency({ store: memoryStore() })
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
