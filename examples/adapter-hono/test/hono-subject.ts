import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { createAdaptorServer } from '@hono/node-server'
import { Hono, type Context, type Handler, type MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { validator } from 'hono/validator'
import { echoContext, inFront, sample, type HttpSubject, type Kind, type PlanRoute } from '@keelson/http/conformance'
import { createHono, type Env, type KeelsonHono } from '../src/adapter.ts'

const NO_WRITE_HEAD = 'a handler of Hono answers a Response'

/** The adapter for Hono as a subject of the published suite. */
export const honoSubject: HttpSubject = {
  name: 'hono 4',
  unsupported: { 'write-head-object': NO_WRITE_HEAD, 'write-head-array': NO_WRITE_HEAD },
  user: (x) => (x.raw as Context).get('user') as string | undefined,
  async start(plan, http) {
    const k = createHono(http)
    const app = new Hono<Env>()
    app.use(k.context(), parseJson)
    app.onError(k.failed)
    app.notFound(k.unmatched)
    for (const route of plan) {
      if (route.api !== undefined) {
        k.mount(app, route.path, route.api)
        continue
      }
      const early = route.policy === undefined ? [] : [k.early(route.policy)]
      for (const handler of [...early, authenticate, ...handlersOf(k, route)]) app.on(route.method, route.path, handler)
    }
    // The tests of other adapters may share this process.
    const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server
    const { drain } = k.shutdown(server)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      drain,
      async close() {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  },
}

const parseJson: MiddlewareHandler<Env> = (c, next) =>
  c.req.header('content-type')?.startsWith('application/json') === true
    ? validator('json', (body) => body as object)(c, next)
    : next()

const authenticate: MiddlewareHandler = async (c, next) => {
  const [, user] = /^Bearer (\w+)$/.exec(c.req.header('authorization') ?? '') ?? []
  if (user === 'nobody') throw new HTTPException(401, { message: 'who?' })
  if (user !== undefined) c.set('user', user)
  for (const [name, value] of inFront(c.req.header('x-in-front'))) c.header(name, value)
  await next()
}

const bodyOf = (c: Context): unknown => c.req.valid('json' as never)

function handlersOf(k: KeelsonHono, route: PlanRoute): (Handler<Env> | MiddlewareHandler<Env>)[] {
  const { policy, work, kind } = route
  if (work !== undefined) {
    return [
      k.transaction(policy!, async (c, tx, op) => {
        await route.enter()
        return work(tx, op, bodyOf(c))
      }),
    ]
  }
  const handler: Handler<Env> = async (c) => {
    await route.enter()
    return handlers[kind as keyof typeof handlers](c, route)
  }
  return policy === undefined ? [handler] : [k.route(policy), handler]
}

type Answering = (c: Context<Env>, route: PlanRoute) => Response | Promise<Response>
async function* bytesOf(pieces: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) yield Buffer.from(piece)
}
const stream = (pieces: AsyncIterable<string>): ReadableStream => ReadableStream.from(bytesOf(pieces)) as never
const slow: Answering = (c, { pieces }) => c.body(stream(pieces()))

const handlers: Record<Exclude<Kind, 'work' | 'api' | 'write-head-object' | 'write-head-array'>, Answering> = {
  json: (c) => c.json(sample.json, 201),
  text: (c) => c.text(sample.text),
  buffer: (c) => c.body(new Uint8Array(sample.bytes)),
  empty: (c) => c.body(null),
  'no-content': (c) => c.body(null, 204),
  head: (c) => c.text(sample.text),
  stream: (c, { pieces }) => c.body(Readable.toWeb(Readable.from(bytesOf(pieces()))) as never),
  'slow-stream': slow,
  'never-ends': slow,
  'length-then-late-end': (c, { pieces }) => c.body(stream(pieces()), 200, { 'Content-Length': `${sample.length}` }),
  'web-response': () => new Response(sample.text, { status: 202, headers: sample.headers as [] }),
  'web-stream': (_c, { pieces }) => new Response(stream(pieces())),
  file: (c) => c.body(Readable.toWeb(createReadStream(sample.file)) as never),
  large: (c) => c.body(new Uint8Array(sample.large)),
  latin1: (c) =>
    c.body(new Uint8Array(Buffer.from(sample.text, 'latin1')), 200, { 'Content-Type': 'text/plain; charset=latin1' }),
  'two-cookies'(c) {
    for (const [name, value] of sample.cookies) c.header(name, value, { append: true })
    return c.json(sample.json)
  },
  redirect: (c) => c.redirect(sample.location, 303),
  throw() {
    throw sample.error()
  },
  'throw-4xx'() {
    throw new HTTPException(418, { message: 'short and stout' })
  },
  sse: (c, { pieces }) => c.body(stream(pieces()), 200, { 'Content-Type': 'text/event-stream' }),
  'echo-context': async (c) => c.json(await echoContext(bodyOf(c), c.req.header('if-none-match'))),
}
