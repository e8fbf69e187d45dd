import { gunzipSync } from 'node:zlib'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import compress from '@fastify/compress'
import Fastify, { type FastifyInstance, type RouteHandlerMethod } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { keelson } from '@keelson/fastify'
import { createHttp } from '@keelson/http'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { recordingLogger } from '../../http/test/support.ts'
import { post } from '../../http/test/wire.ts'

const running: FastifyInstance[] = []
afterEach(async () => {
  for (const app of running.splice(0)) await app.close()
})

const text = 'compress me '.repeat(500)
const handlers: [string, RouteHandlerMethod][] = [
  ['an object', async () => ({ text })],
  ['a string', async (_request, reply) => reply.type('text/plain').send(text)],
  [
    'a stream',
    async (_request, reply) => reply.type('text/plain').send(Readable.from([text.slice(0, 50), text.slice(50)])),
  ],
  ['a web Response', async () => new Response(text, { headers: { 'Content-Type': 'text/plain' } })],
]

async function start(
  handler: RouteHandlerMethod,
  order: 'in front' | 'behind',
): Promise<{ port: number; warnings: string[] }> {
  const logger = recordingLogger()
  const http = createHttp({ idempotency: createIdempotency({ store: memoryStore() }), scope: () => 'public', logger })
  const app = Fastify({ forceCloseConnections: true })
  running.push(app)
  if (order === 'in front') await app.register(compress, { encodings: ['gzip'] })
  await app.register(keelson, { http })
  if (order === 'behind') await app.register(compress, { encodings: ['gzip'] })
  app.post('/orders', { config: { keelson: { idempotent: {} } } }, handler)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { port: (app.server.address() as AddressInfo).port, warnings: logger.warnings }
}

const zipped = { headers: [['Accept-Encoding', 'gzip']] } as const

describe('with @fastify/compress', () => {
  it.each(handlers)('behind the plugin, what is kept of %s is not compressed', async (_, handler) => {
    const { port, warnings } = await start(handler, 'behind')
    const first = await post(port, 'key-1', {}, zipped)
    expect(first.header('content-encoding')).toBe('gzip')
    const again = await post(port, 'key-1', {}, zipped)
    expect([again.status, again.header('idempotent-replayed'), again.header('content-encoding')]).toEqual([
      200,
      'true',
      undefined,
    ])
    expect(again.body).toEqual(gunzipSync(first.body))
    expect(warnings).toEqual([])
  })

  it('in front of the plugin, answers are told once, and it says so', async () => {
    const { port, warnings } = await start(handlers[0]![1], 'in front')
    expect((await post(port, 'key-1', {}, zipped)).header('content-encoding')).toBe('gzip')
    expect((await post(port, 'key-1', {}, zipped)).json()['code']).toBe('answer-not-retained')
    expect(warnings).toHaveLength(1)
  })
})
