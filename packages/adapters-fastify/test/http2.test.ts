import { once } from 'node:events'
import { connect, type ClientHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import Fastify from 'fastify'
import { afterEach, expect, it } from 'vitest'
import { keelson } from '@keelson/fastify'
import { createHttp } from '@keelson/http'
import { createIdempotency, memoryStore } from '@keelson/idempotency'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function ask(session: ClientHttp2Session, path: string, headers: Record<string, string> = {}, method = 'POST') {
  const stream = session.request({ ':method': method, ':path': path, 'content-type': 'application/json', ...headers })
  if (method === 'POST') stream.end('{"a":1}')
  const [head] = (await once(stream, 'response')) as [Record<string, string | number>]
  return { head, body: Buffer.concat(await stream.toArray()).toString() }
}

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
    const [first, again] = [await ask(session, path, keyed), await ask(session, path, keyed)]
    expect(again.head).toMatchObject({ ':status': first.head[':status'], 'idempotent-replayed': 'true' })
    expect(again.body).toBe(first.body)
    expect(first.head['x-correlation-id']).toBeDefined()
  }
  expect(runs).toBe(2)
  // A body that the framework does not read is read all the same, where its bytes count.
  expect((await ask(session, '/report', { 'idempotency-key': 'key-1' }, 'GET')).body).toBe('report')
  expect((await ask(session, '/none')).head).toMatchObject({
    ':status': 404,
    'content-type': 'application/problem+json',
  })
  expect((await ask(session, '/api/a')).body).toBe(`http://127.0.0.1:${port}/a`)
  session.close()
  await drain(new AbortController().signal)
})
