import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Request, RequestHandler, Response } from 'express'
import { createExpress } from '@keelson/express'
import { sendWeb } from '@keelson/http/node'
import { echoContext, inFront, sample, type HttpSubject, type Kind, type PlanRoute } from '@keelson/http/conformance'
import { serve, type frameworks } from './support.ts'

type Framework = (typeof frameworks)[number]
type Handler = (req: Request, res: Response, route: PlanRoute) => unknown
type Authenticated = Request & { user?: string }

/** The adapter for Express as a subject of the published suite. */
export function expressSubject({ framework, express }: Framework): HttpSubject {
  return {
    name: framework,
    user: (x) => (x.raw as Authenticated).user,
    async start(plan, http) {
      const k = createExpress(http)
      const app = express()
      app.use(k.context(), express.json({ limit: '1mb' }))
      for (const route of plan) {
        if (route.api !== undefined) {
          app.use(route.path, k.mount(route.api))
          continue
        }
        const early = route.policy === undefined ? [] : [k.early(route.policy)]
        app[route.method.toLowerCase() as 'get'](route.path, ...early, authenticate, ...handlersOf(k, route))
      }
      app.use(k.errors())
      const { port, server, close } = await serve(app)
      return { url: `http://127.0.0.1:${port}`, close, drain: k.shutdown(server).drain }
    },
  }
}

function handlersOf(k: ReturnType<typeof createExpress>, route: PlanRoute): RequestHandler[] {
  const { policy, kind, work } = route
  if (work !== undefined) {
    return [
      k.transaction(policy!, async (req: Request, tx, op) => {
        await route.enter()
        return work(tx, op, req.body)
      }),
    ]
  }
  const handler: RequestHandler = (req, res, next) => {
    // Express 4 forwards no rejection.
    const run = async (): Promise<void> => {
      await route.enter()
      await handlers[kind as keyof typeof handlers](req, res, route)
    }
    run().catch(next)
  }
  return policy === undefined ? [handler] : [k.route(policy), handler]
}

/** The application's own. */
const authenticate: RequestHandler = (req: Authenticated, res, next) => {
  const [, user] = /^Bearer (\w+)$/.exec(req.get('authorization') ?? '') ?? []
  if (user === 'nobody') return next(Object.assign(new Error('who?'), { status: 401 }))
  if (user !== undefined) req.user = user
  for (const [name, value] of inFront(req.get('x-in-front'))) res.set(name, value)
  next()
}

const handlers: Record<Exclude<Kind, 'work' | 'api'>, Handler> = {
  json: (_req, res) => res.status(201).json(sample.json),
  text: (_req, res) => res.send(sample.text),
  buffer: (_req, res) => res.send(Buffer.from(sample.bytes)),
  empty: (_req, res) => res.end(),
  'no-content': (_req, res) => res.sendStatus(204),
  head: (_req, res) => res.send(sample.text),
  stream: (_req, res, { pieces }) => pipeline(Readable.from(pieces()), res),
  'slow-stream': (_req, res, { pieces }) => write(res, pieces()),
  'never-ends': (_req, res, { pieces }) => write(res, pieces()),
  'length-then-late-end': (_req, res, { pieces }) => write(res.set('Content-Length', `${sample.length}`), pieces()),
  'web-response': (_req, res) =>
    sendWeb(res, new Response(sample.text, { status: 202, headers: sample.headers as [] })),
  'web-stream': (_req, res, { pieces }) => Readable.fromWeb(ReadableStream.from(pieces()) as never).pipe(res),
  file: (_req, res) => res.sendFile(sample.file),
  large: (_req, res) => res.send(Buffer.from(sample.large)),
  'write-head-object': (_req, res) => res.writeHead(202, grouped(sample.headers)).end(sample.text),
  'write-head-array': (_req, res) => res.writeHead(202, sample.headers.flat() as never).end(sample.text),
  latin1: (_req, res) => res.type('text/plain; charset=latin1').end(sample.text, 'latin1'),
  'two-cookies'(_req, res) {
    for (const [name, value] of sample.cookies) res.append(name, value)
    res.json(sample.json)
  },
  redirect: (_req, res) => res.redirect(303, sample.location),
  throw() {
    throw sample.error()
  },
  'throw-4xx'() {
    throw Object.assign(new Error('short and stout'), { status: 418 })
  },
  sse(_req, res, { pieces }) {
    res.type('text/event-stream').flushHeaders()
    return write(res, pieces())
  },
  'echo-context': async (req, res) => res.json(await echoContext(req.body, req.get('if-none-match'))),
}

async function write(res: Response, pieces: AsyncIterable<string>): Promise<void> {
  for await (const piece of pieces) res.write(piece)
  res.end()
}

function grouped(lines: readonly (readonly [string, string])[]): Record<string, string[]> {
  const groups: Record<string, string[]> = {}
  for (const [name, value] of lines) (groups[name] ??= []).push(value)
  return groups
}
