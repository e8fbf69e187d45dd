import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context, ErrorHandler, Handler, Hono, MiddlewareHandler, NotFoundHandler } from 'hono'
import { matchedRoutes } from 'hono/route'
import type { Answer, Exchange, FetchHandler, Http, Operation, RoutePolicy, StoredResponse } from '@keelson/http'
import { groupHeaders } from '@keelson/http/adapter'
import { drainServer, nodeExchanges, type NodeExchange } from '@keelson/http/node'
import { context, type Tx } from '@keelson/kernel'
import { captureResponse } from './capture-response.ts'

/** Hono on Node: its requests come with those of node:http. */
export type Env = { Bindings: HttpBindings }

/** Keelson for one Hono application; `app.onError(k.failed)` and `app.notFound(k.unmatched)` make problems. */
export interface KeelsonHono {
  /** First of all. */
  context(): MiddlewareHandler<Env>
  /** Only what stands before authentication. */
  early(policy: RoutePolicy): MiddlewareHandler<Env>
  /** The whole policy; behind authentication. */
  route(policy: RoutePolicy): MiddlewareHandler<Env>
  /** The end of a route: rows, effects and answer are one commit. */
  transaction<T>(policy: RoutePolicy, handler: (c: Context<Env>, tx: Tx, op: Operation) => Answer<T>): Handler<Env>
  mount(app: Hono<Env>, prefix: string, api: FetchHandler): void
  readonly failed: ErrorHandler<Env>
  readonly unmatched: NotFoundHandler<Env>
  /** A part of a shutdown, made before the server takes requests. */
  readonly shutdown: typeof drainServer
}

/** Translates between Hono 4 on @hono/node-server and `http`. A wrong policy throws when its route is made. */
export function createHono(http: Http): KeelsonHono {
  const captures = new WeakMap<Context, Parameters<Exchange['capture']>>()
  const exchanges = nodeExchanges<Context<Env>>(
    { target: (c) => c.env.incoming.url!, route: routeOf, capture: (c, ...capture) => void captures.set(c, capture) },
    http.maxRawBody,
  )
  http.adapter('hono')

  const exchangeOf = (c: Context<Env>): NodeExchange => exchanges.of(c.env.incoming, c.env.outgoing, c)

  return {
    context: () => (c, next) => context.run(http.begin(exchangeOf(c)), next),

    early(policy) {
      const route = http.compile(policy)
      return async (c, next) => {
        const answer = await route.early(exchangeOf(c))
        return answer === undefined ? next() : answered(c, answer)
      }
    },

    route(policy) {
      const route = http.compile(policy)
      return async (c, next) => {
        const x = exchangeOf(c)
        const answer = (await route.early(x)) ?? (await route.late(x))
        if (answer !== undefined) return answered(c, answer)
        await context.run(route.context(x), next)
        const capture = captures.get(c)
        if (capture === undefined) return
        const response = await captureResponse(c.res, capture, {
          isHead: x.method === 'HEAD',
          isGone: () => c.env.outgoing.destroyed,
          answered: instead,
        })
        c.res = undefined // Hono would give the headers of the old one to the new one.
        c.res = response
      }
    },

    transaction(policy, handler) {
      const route = http.compile({ ...policy, transactional: true })
      return async (c) => {
        const x = exchangeOf(c)
        const answer = (await route.early(x)) ?? (await route.late(x))
        return answered(c, answer ?? (await route.transact!(x, (tx, op) => handler(c, tx, op))))
      }
    },

    mount(app, prefix, api) {
      app.all(`${prefix}/*`, async (c) => {
        const x = exchangeOf(c)
        const target = c.env.incoming.url!.slice(prefix.length) || '/'
        await x.serve(http, api, target)
        return RESPONSE_ALREADY_SENT
      })
    },

    failed: (error, c) => answered(c, http.problem(error, exchangeOf(c))),
    unmatched: (c) => answered(c, http.problem(undefined, exchangeOf(c))),
    shutdown: drainServer,
  }
}

/** By Hono itself, so that what middleware has set leaves too, and what stands outside sees it. */
function answered(c: Context, { status, headers, body }: StoredResponse): Response {
  const before = (name: string): string | string[] | undefined =>
    /^set-cookie$/i.test(name) ? c.res.headers.getSetCookie() : (c.res.headers.get(name) ?? undefined)
  const content = body.length === 0 ? null : new Uint8Array(body)
  return c.body(content as never, status as never, Object.fromEntries(groupHeaders(headers, before)))
}

/** What is set on `c.res` by now is the handler's, and nobody gets that. */
function instead({ status, headers, body }: StoredResponse): Response {
  return new Response(body.length === 0 ? null : new Uint8Array(body), { status, headers: headers as [] })
}

/** Middleware is registered for ALL methods. */
function routeOf(c: Context): string {
  return matchedRoutes(c).findLast(({ method }) => method !== 'ALL')?.path ?? '(none)'
}
