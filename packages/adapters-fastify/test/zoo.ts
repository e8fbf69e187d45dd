import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyReply, RouteHandlerMethod } from 'fastify'
import { bytes, file, MAX_BYTES, type Animal } from '../../http/test/animal.ts'

async function* slowly(...parts: (string | Buffer)[]): AsyncGenerator<string | Buffer> {
  for (const part of parts) {
    yield part
    await sleep(3)
  }
}

/** A web stream as it leaves a fetch: of bytes. */
const web = (...parts: string[]): ReadableStream =>
  ReadableStream.from(slowly(...parts)).pipeThrough(new TextEncoderStream())

async function write(reply: FastifyReply, ...parts: string[]): Promise<void> {
  const { raw } = reply
  for (const part of parts) {
    raw.write(part)
    await sleep(3)
  }
  raw.end()
}

/** Answers of ordinary handlers. */
export const zoo: readonly Animal<RouteHandlerMethod>[] = [
  { name: 'an object', handler: async () => ({ id: 7, name: 'Zoë' }) },
  { name: 'a list', handler: async () => [1, 2, 3] },
  { name: 'a status of its own', handler: (_request, reply) => reply.code(201).send({ id: 7 }), status: 201 },
  { name: 'a string', handler: async () => 'höhe' },
  { name: 'a string by a callback', handler: (_request, reply) => void setTimeout(() => reply.send('late'), 5) },
  { name: 'an empty string', handler: (_request, reply) => reply.send('') },
  { name: 'a Buffer', handler: async () => bytes(5_000) },
  { name: 'a Uint8Array', handler: async () => new Uint8Array([0, 255, 13, 10, 13, 10]) },
  { name: 'nothing', handler: (_request, reply) => reply.send() },
  { name: 'null', handler: (_request, reply) => reply.send(null) },
  { name: 'a number', handler: async () => 7 },
  { name: 'JSON as text', handler: (_request, reply) => reply.type('application/json').send('{"a": 1}') },
  { name: 'a serializer', handler: (_request, reply) => reply.type('text/csv').serializer(String).send(['a', 'b']) },
  { name: '204', handler: (_request, reply) => reply.code(204).send(), status: 204 },
  { name: '204 with content', handler: (_request, reply) => reply.code(204).send({ a: 1 }), status: 204 },
  {
    name: '204 with a stream',
    handler: (_request, reply) => reply.code(204).send(Readable.from(['a', 'b'])),
    status: 204,
  },
  { name: '304', handler: (_request, reply) => reply.code(304).header('etag', '"1"').send(), status: 304 },
  { name: 'HEAD', method: 'HEAD', handler: (_request, reply) => reply.send('its length is told') },
  { name: 'HEAD with a stream', method: 'HEAD', handler: (_request, reply) => reply.send(Readable.from(['a', 'b'])) },
  {
    name: 'a file',
    handler: (_request, reply) => reply.type('x/parcel').send(createReadStream(file, { highWaterMark: 4_096 })),
  },
  { name: 'a slow stream', handler: (_request, reply) => reply.send(Readable.from(slowly('one', 'two', 'three'))) },
  { name: 'a stream with nothing', handler: (_request, reply) => reply.send(Readable.from([])) },
  { name: 'a stream of one', handler: (_request, reply) => reply.send(Readable.from([Buffer.from('one')])) },
  {
    name: 'a stream with its length',
    handler: (_request, reply) => reply.header('content-length', '6').send(Readable.from(slowly('one', 'two'))),
  },
  { name: 'a web stream', handler: (_request, reply) => reply.type('text/plain').send(web('one', 'two')) },
  {
    name: 'a web Response',
    handler: async () => new Response('höhe', { status: 202, headers: { 'X-Own': 'yes' } }),
    status: 202,
  },
  { name: 'a web Response that streams', handler: async () => new Response(web('one', 'two')) },
  { name: 'a web Response without a body', handler: async () => new Response(null, { status: 204 }), status: 204 },
  {
    name: 'a web Response with cookies',
    async handler(_request, reply) {
      reply.header('set-cookie', 'outer=0')
      const headers = new Headers()
      headers.append('Set-Cookie', 'a=1')
      headers.append('Set-Cookie', 'b=2, 3')
      return Response.json({}, { headers })
    },
  },
  {
    name: 'cookies and numbers',
    handler: (_request, reply) =>
      reply.header('set-cookie', ['a=1', 'b=2']).header('set-cookie', 'c=3').header('x-number', 7).send({}),
  },
  { name: 'headers on raw', handler: (_request, reply) => (reply.raw.setHeader('X-Raw', 'yes'), reply.send({ a: 1 })) },
  { name: 'a redirect', handler: (_request, reply) => reply.redirect('/orders/7', 303), status: 303 },
  { name: 'trailers', handler: (_request, reply) => reply.trailer('x-sum', async () => '7').send('body') },
  { name: 'no such thing', handler: (_request, reply) => reply.callNotFound(), status: 404 },
  {
    name: 'hijacked',
    async handler(_request, reply) {
      reply.hijack()
      reply.raw.writeHead(202, { 'X-Own': 'yes', 'Content-Type': 'text/plain' })
      await write(reply, 'one', 'two')
    },
    status: 202,
  },
  {
    name: 'hijacked, and ended later',
    handler(_request, reply) {
      reply.hijack()
      setTimeout(() => reply.raw.end('late'), 5)
    },
  },
  { name: 'the exact limit', handler: async () => bytes(MAX_BYTES) },
  { name: 'one byte over the limit', kind: 'part', handler: async () => bytes(MAX_BYTES + 1) },
  {
    name: 'over the limit by a stream',
    kind: 'part',
    handler: (_request, reply) => reply.send(Readable.from(Array.from({ length: 32 }, () => bytes(65_536)))),
  },
  {
    name: 'events',
    kind: 'part',
    handler: (_request, reply) =>
      reply.type('text/event-stream').send(Readable.from(slowly('data: 1\n\n', 'data: 2\n\n'))),
  },
  {
    name: 'thrown',
    async handler() {
      throw Object.assign(new Error('no tea'), { statusCode: 418 })
    },
    status: 418,
  },
  {
    name: 'thrown at once',
    handler() {
      throw new Error('boom')
    },
    status: 500,
  },
  {
    name: 'a stream that fails at once',
    handler: (_request, reply) =>
      reply.send(
        new Readable({
          read() {
            this.destroy(Object.assign(new Error('gone'), { statusCode: 404 }))
          },
        }),
      ),
    status: 404,
  },
  {
    name: 'a stream that has failed before',
    handler(_request, reply) {
      const gone = new Readable().on('error', () => {}).destroy(Object.assign(new Error('gone'), { statusCode: 404 }))
      setTimeout(() => reply.send(gone), 5)
    },
    status: 404,
  },
  {
    name: 'a value that is no payload',
    handler: (_request, reply) => reply.type('text/plain').send(7),
    status: 500,
  },
]
