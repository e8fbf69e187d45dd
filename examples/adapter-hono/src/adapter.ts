import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context, ErrorHandler, Handler, Hono, MiddlewareHandler, NotFoundHandler } from 'hono'
import { matchedRoutes } from 'hono/route'
import type {
  Answer,
  Exchange,
  FetchHandler,
  Headers as Lines,
  Http,
  Operation,
  RoutePolicy,
  StoredResponse,
} from '@keelson/http'
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
  const captures = new WeakMap<Context, { parts: Parameters<Exchange['capture']>; before: Lines }>()
  const exchanges = nodeExchanges<Context<Env>>(
    {
      target: (c) => c.env.incoming.url!,
      route: routeOf,
      capture: (c, ...parts) => void captures.set(c, { parts, before: headersOf(c) }),
    },
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
        const { parts, before } = capture
        const response = await captureResponse(c.res, parts, {
          before,
          isHead: x.method === 'HEAD',
          isGone: () => c.env.outgoing.destroyed,
          answered: (other) => instead(other, before),
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

/** Also what middleware has set leaves. */
function answered(c: Context, answer: StoredResponse): Response {
  const response = instead(answer, headersOf(c))
  // Hono would prefer the headers that were there.
  c.res = undefined
  c.res = response
  return response
}

/** What is set on the answer. To ask for `c.res` would make one, whose headers Hono then prefers to the handler's. */
function headersOf(c: Context): Lines {
  return [...c.body(null).headers]
}

/** The answer among the headers that stood there before: what was set since is another answer's. */
function instead({ status, headers, body }: StoredResponse, before: Lines): Response {
  const all = new Headers(before as [])
  for (const [name, value] of groupHeaders(headers, (name) => linesOf(all, name))) {
    all.delete(name)
    for (const line of [value].flat()) all.append(name, line)
  }
  return new Response(body.length === 0 ? null : new Uint8Array(body), { status, headers: all })
}

function linesOf(headers: Headers, name: string): string | string[] | undefined {
  return /^set-cookie$/i.test(name) ? headers.getSetCookie() : (headers.get(name) ?? undefined)
}

/** Middleware is registered for ALL methods. */
function routeOf(c: Context): string {
  return matchedRoutes(c).findLast(({ method }) => method !== 'ALL')?.path ?? '(none)'
}
