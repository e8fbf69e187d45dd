import { createReadStream } from 'node:fs'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import {
  Body,
  Controller,
  Headers,
  HttpCode,
  HttpException,
  Module,
  Redirect,
  RequestMapping,
  RequestMethod,
  Res,
  StreamableFile,
  UnauthorizedException,
  UseGuards,
  type CanActivate,
  type DynamicModule,
  type ExecutionContext,
  type Type,
} from '@nestjs/common'
import type { NestFastifyApplication } from '@nestjs/platform-fastify'
import { drainServer, sendWeb } from '@keelson/http/node'
import { echoContext, inFront, sample, type HttpSubject, type Kind, type PlanRoute } from '@keelson/http/conformance'
import { KeelsonModule, mountApi, Op, Policy, Tx } from '@keelson/nest'
import { nest, start, type Platform } from './platforms.ts'

interface PlatformRequest {
  readonly headers: IncomingMessage['headers']
  user?: string
}

/** The adapter for Nest as a subject of the published suite. Its plans are made at run time: decorators are called. */
export function nestSubject(platform: Platform): HttpSubject {
  return {
    name: `${nest} on ${platform.platform}`,
    user: (x) => (x.raw as PlatformRequest).user,
    async start(plan, http) {
      const running = await start(platform, rootOf(plan, KeelsonModule.forRoot({ http, problems: 'all' })), (app) => {
        // As Express does it, not 415 for what nobody parses.
        if (platform.platform === 'Fastify') (app as NestFastifyApplication).useBodyParser('*')
        for (const { path, api } of plan) if (api !== undefined) mountApi(app, path, api)
      })
      const { drain } = drainServer(running.app.getHttpServer() as Server)
      return { url: running.url, close: running.close, drain }
    },
  }
}

/** The root module of an application that serves a plan. */
export function rootOf(plan: readonly PlanRoute[], ...imports: DynamicModule[]): Type {
  class App {}
  Module({ imports, controllers: plan.filter(({ api }) => api === undefined).map(controllerOf) })(App)
  return App
}

/** The application's own. */
class Authenticate implements CanActivate {
  canActivate(host: ExecutionContext): boolean {
    const request = host.switchToHttp().getRequest<PlatformRequest>()
    const [, user] = /^Bearer (\w+)$/.exec(request.headers.authorization ?? '') ?? []
    if (user === 'nobody') throw new UnauthorizedException()
    if (user !== undefined) request.user = user
    const response = host.switchToHttp().getResponse<{ header(name: string, value: string): void }>()
    for (const [name, value] of inFront(request.headers['x-in-front'])) response.header(name, value)
    return true
  }
}

function controllerOf(route: PlanRoute): Type {
  const { kind, work, policy, path } = route
  class Routes {
    async handle(...args: never[]): Promise<unknown> {
      await route.enter()
      return work === undefined
        ? (handlers[kind as keyof typeof handlers].run as (...args: unknown[]) => unknown)(...args, route)
        : work(...(args as unknown as Parameters<typeof work>))
    }
  }
  const prototype = Routes.prototype
  const method = Object.getOwnPropertyDescriptor(prototype, 'handle')!
  const { parameters, decorators = [] } =
    work === undefined ? handlers[kind as keyof typeof handlers] : { parameters: [Tx(), Op(), Body()] }
  for (const [index, decorate] of parameters.entries()) decorate(prototype, 'handle', index)
  const verb = RequestMethod[route.method as 'POST']
  for (const decorate of [
    HttpCode(200),
    RequestMapping({ path, method: verb }),
    UseGuards(new Authenticate()),
    ...decorators,
  ])
    decorate(prototype, 'handle', method)
  if (policy !== undefined) Policy(policy)(prototype, 'handle', method)
  Controller()(Routes)
  return Routes
}

interface Handler {
  readonly parameters: readonly ParameterDecorator[]
  readonly decorators?: readonly MethodDecorator[]
  /** With its parameters, and then the route. */
  run(...args: never[]): unknown
}

type PlatformResponse = ServerResponse & { raw?: ServerResponse; hijack?(): void }
const value = (run: (route: PlanRoute) => unknown, ...decorators: MethodDecorator[]): Handler => ({
  parameters: [],
  decorators,
  run,
})
/** By node:http's own response. */
const byResponse = (run: (res: ServerResponse, route: PlanRoute) => unknown): Handler => ({
  parameters: [Res()],
  run(res: PlatformResponse, route: PlanRoute) {
    res.hijack?.()
    return run(res.raw ?? res, route)
  },
})

export const handlers: Record<Exclude<Kind, 'work' | 'api'>, Handler> = {
  json: value(() => sample.json, HttpCode(201)),
  text: value(() => sample.text),
  buffer: value(() => new StreamableFile(sample.bytes)),
  empty: value(() => undefined),
  'no-content': value(() => undefined, HttpCode(204)),
  head: value(() => sample.text),
  stream: value(({ pieces }) => new StreamableFile(Readable.from(pieces(), { objectMode: false }))),
  'slow-stream': value(({ pieces }) => new StreamableFile(Readable.from(pieces(), { objectMode: false }))),
  'never-ends': value(({ pieces }) => new StreamableFile(Readable.from(pieces(), { objectMode: false }))),
  'length-then-late-end': byResponse((res, { pieces }) =>
    write(res.setHeader('Content-Length', sample.length), pieces()),
  ),
  'web-response': byResponse((res) =>
    sendWeb(res, new Response(sample.text, { status: 202, headers: sample.headers as [] })),
  ),
  'web-stream': value(({ pieces }) => {
    const web = ReadableStream.from(pieces()) as Parameters<typeof Readable.fromWeb>[0]
    return new StreamableFile(Readable.fromWeb(web, { objectMode: false }))
  }),
  file: value(() => new StreamableFile(createReadStream(sample.file))),
  large: value(() => new StreamableFile(sample.large)),
  'write-head-object': byResponse((res) => res.writeHead(202, grouped(sample.headers)).end(sample.text)),
  'write-head-array': byResponse((res) => res.writeHead(202, sample.headers.flat() as never).end(sample.text)),
  latin1: byResponse((res) => res.setHeader('Content-Type', 'text/plain; charset=latin1').end(sample.text, 'latin1')),
  'two-cookies': {
    parameters: [Res({ passthrough: true })],
    run(res: ServerResponse & { header(name: string, value: string[]): void }) {
      for (const [name, values] of Object.entries(grouped(sample.cookies))) res.header(name, values)
      return sample.json
    },
  },
  redirect: value(() => undefined, Redirect(sample.location, 303)),
  throw: value(() => {
    throw sample.error()
  }),
  'throw-4xx': value(() => {
    throw new HttpException('short and stout', 418)
  }),
  sse: byResponse((res, { pieces }) => {
    res.setHeader('Content-Type', 'text/event-stream').flushHeaders()
    return write(res, pieces())
  }),
  'echo-context': {
    parameters: [Body(), Headers('if-none-match')],
    run: (body: unknown, ifNoneMatch: string | undefined) => echoContext(body, ifNoneMatch),
  },
}

async function write(res: ServerResponse, pieces: AsyncIterable<string>): Promise<void> {
  for await (const piece of pieces) res.write(piece)
  res.end()
}

function grouped(lines: readonly (readonly [string, string])[]): Record<string, string[]> {
  const groups: Record<string, string[]> = {}
  for (const [name, value] of lines) (groups[name] ??= []).push(value)
  return groups
}
