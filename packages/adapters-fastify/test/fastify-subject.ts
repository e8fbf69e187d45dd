import { createReadStream } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import Fastify, { type FastifyReply, type FastifyRequest, type RouteOptions } from 'fastify'
import { keelson, transaction } from '@keelson/fastify'
import type { Operation } from '@keelson/http'
import type { Tx } from '@keelson/kernel'
import { echoContext, inFront, sample, type HttpSubject, type Kind, type PlanRoute } from '@keelson/http/conformance'

type Handler = (request: FastifyRequest, reply: FastifyReply, route: PlanRoute) => unknown
type Authenticated = FastifyRequest & { user?: string }

/** The adapter for Fastify as a subject of the published suite. */
export const fastifySubject: HttpSubject = {
  name: 'Fastify 5',
  user: (x) => (x.raw as Authenticated).user,
  async start(plan, http) {
    const app = Fastify({ forceCloseConnections: true })
    await app.register(keelson, { http, problems: 'all' })
    // Like Express, not 415 for what nobody parses.
    app.addContentTypeParser('*', (_request, payload, done) => void payload.resume().on('end', done))
    for (const route of plan) {
      if (route.api !== undefined) app.keelson.mount(route.path, route.api)
      else app.route(optionsOf(route))
    }
    const { drain } = app.keelson.shutdown()
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    return { url: `http://127.0.0.1:${port}`, close: () => app.close(), drain }
  },
}

function optionsOf(route: PlanRoute): RouteOptions {
  const { method, path, policy, kind, work } = route
  const place = { method, url: path, onRequest: authenticate }
  if (work !== undefined) {
    const handler = async (request: FastifyRequest, tx: Tx, op: Operation): Promise<unknown> => {
      await route.enter()
      return work(tx, op, request.body)
    }
    return { ...place, ...transaction(policy!, handler) }
  }
  return {
    ...place,
    ...(policy === undefined ? {} : { config: { keelson: policy } }),
    async handler(request, reply) {
      await route.enter()
      return handlers[kind as keyof typeof handlers](request, reply, route)
    },
  }
}

/** The application's own. */
async function authenticate(request: Authenticated, reply: FastifyReply): Promise<void> {
  const [, user] = /^Bearer (\w+)$/.exec(request.headers.authorization ?? '') ?? []
  if (user === 'nobody') throw Object.assign(new Error('who?'), { statusCode: 401 })
  if (user !== undefined) request.user = user
  for (const [name, value] of inFront(request.headers['x-in-front'])) reply.header(name, value)
}

const handlers: Record<Exclude<Kind, 'work' | 'api'>, Handler> = {
  json: (_request, reply) => reply.code(201).send(sample.json),
  text: (_request, reply) => reply.type('text/html; charset=utf-8').send(sample.text),
  buffer: () => Buffer.from(sample.bytes),
  empty: (_request, reply) => reply.send(),
  'no-content': (_request, reply) => reply.code(204).send(),
  head: (_request, reply) => reply.send(sample.text),
  stream: (_request, reply, { pieces }) => reply.type('text/plain').send(Readable.from(pieces())),
  'slow-stream': (_request, reply, { pieces }) => reply.send(Readable.from(pieces())),
  'never-ends': (_request, reply, { pieces }) => reply.send(Readable.from(pieces())),
  'length-then-late-end': (_request, reply, { pieces }) =>
    writeRaw(reply, { 'Content-Length': sample.length }, pieces()),
  'web-response': () =>
    new Response(sample.text, { status: 202, headers: sample.headers.map((line) => [...line] as [string, string]) }),
  'web-stream': (_request, reply, { pieces }) => reply.send(bytesOf(pieces())),
  file: (_request, reply) => reply.send(createReadStream(sample.file)),
  large: () => Buffer.from(sample.large),
  'write-head-object': (_request, reply) =>
    void reply.hijack().raw.writeHead(202, grouped(sample.headers)).end(sample.text),
  'write-head-array': (_request, reply) =>
    void reply
      .hijack()
      .raw.writeHead(202, sample.headers.flat() as never)
      .end(sample.text),
  latin1: (_request, reply) => reply.type('text/plain; charset=latin1').send(Buffer.from(sample.text, 'latin1')),
  'two-cookies'(_request, reply) {
    for (const [name, value] of Object.entries(grouped(sample.cookies))) reply.header(name, value)
    return reply.send(sample.json)
  },
  redirect: (_request, reply) => reply.redirect(sample.location, 303),
  throw() {
    throw sample.error()
  },
  'throw-4xx'() {
    throw Object.assign(new Error('short and stout'), { statusCode: 418 })
  },
  sse: (_request, reply, { pieces }) => reply.type('text/event-stream').send(Readable.from(pieces())),
  'echo-context': (request) => echoContext(request.body, request.headers['if-none-match']),
}

async function writeRaw(reply: FastifyReply, headers: object, pieces: AsyncIterable<string>): Promise<void> {
  const { raw } = reply.hijack()
  raw.writeHead(200, headers as never)
  for await (const piece of pieces) raw.write(piece)
  raw.end()
}

/** A web stream as it leaves a fetch: of bytes. */
function bytesOf(pieces: AsyncIterable<string>): ReadableStream<Uint8Array> {
  return ReadableStream.from(pieces).pipeThrough(new TextEncoderStream())
}

function grouped(lines: readonly (readonly [string, string])[]): Record<string, string[]> {
  const groups: Record<string, string[]> = {}
  for (const [name, value] of lines) (groups[name] ??= []).push(value)
  return groups
}
