import {
  HttpError,
  type Answer,
  type AuditedRule,
  type CachedRule,
  type DeprecatedRule,
  type Exchange,
  type FetchHandler,
  type Http,
  type IdempotentRule,
  type InvalidatesRule,
  type Operation,
  type RateRule,
  type ReceiveRule,
  type Route,
  type RoutePolicy,
  type SignedRule,
} from '@keelson/http'
import { checkRouteMethods } from '@keelson/http/adapter'
import {
  drainServer,
  nodeExchanges,
  settle,
  type DrainableServer,
  type NodeExchange,
  type ServerDrain,
} from '@keelson/http/node'
import { context, type Duration, type Tx } from '@keelson/kernel'
import type { ErrorRequestHandler, NextFunction, Request, RequestHandler, Response } from 'express'
import { expressFrame, methodsOf } from './frame.ts'

/** Keelson for one Express application. */
export interface KeelsonExpress {
  /** First of all, before body parsers: ids, context, and an eye on the request's bytes. */
  context(): RequestHandler
  /** The policy's rules at this place; they come after authentication and body parsing. */
  route(policy: RoutePolicy): RequestHandler
  /**
   * `route({ idempotent: rule })`: the key is claimed, whatever handler comes next runs once, and its answer is stored
   * before its last byte leaves. Behind authentication, body parsing and compression.
   */
  idempotent(rule?: IdempotentRule): RequestHandler
  /**
   * `route({ cached: rule })`: the answer to a GET is given again, and a 304 to who has it. Behind authentication and
   * compression.
   */
  cached(rule: CachedRule): RequestHandler
  /** `route({ etag: kind })`; default 'weak'. */
  etag(kind?: 'weak' | 'strong'): RequestHandler
  /** `route({ invalidates: rule })`: once the write has succeeded, and before its last byte leaves. */
  invalidates(rule: InvalidatesRule): RequestHandler
  /**
   * `route({ audited: rule })`: who did what, in the audit log. What authentication refuses is recorded with `early(policy)`
   * of the same policy in front of it.
   */
  audited(rule: AuditedRule): RequestHandler
  /** `route({ rateLimit: rule })`: what is limited by address counts here, in front of authentication or behind it. */
  rateLimit(rule: RateRule | readonly RateRule[]): RequestHandler
  /**
   * `route({ receive: rule })`: a webhook of somebody else, verified over its bytes and handled once. Wherever the body
   * is parsed; the handler asks `received()` of `@keelson/http` for it.
   */
  receive(rule: ReceiveRule): RequestHandler
  /** `route({ signed: rule })`: a request that a user has signed, who is the principal of all that comes behind. */
  signed(rule: SignedRule): RequestHandler
  /** `route({ allowIps: cidrs })`. */
  allowIps(cidrs: readonly string[]): RequestHandler
  /** `route({ deadline })`. */
  deadline(deadline: Duration): RequestHandler
  /** `route({ deprecated: rule })`. */
  deprecated(rule: DeprecatedRule): RequestHandler
  /** Only the rules that stand before authentication, when they must be in front of it. */
  early(policy: RoutePolicy): RequestHandler
  /**
   * The end of a route: `handler` writes through `tx` and returns its answer (see `reply`, `created`, `ok`, `problem`);
   * rows, effects and answer are one commit. It runs again after a serialization failure or a deadlock.
   */
  transaction<Req extends Request, T>(
    policy: RoutePolicy,
    handler: (req: Req, tx: Tx, op: Operation) => Answer<T>,
  ): RequestHandler<any, T>
  /** A management API; it sees the path behind this place: `app.use('/health', k.mount(healthApi({ health })))`. */
  mount(api: FetchHandler): RequestHandler
  /** A part of a shutdown, made before the server takes requests: `shutdown.add('http', k.shutdown(server))`. */
  shutdown(server: DrainableServer): ServerDrain
  /** Last of all: what no route matched, and what routes threw, as problems. */
  errors(): (RequestHandler | ErrorRequestHandler)[]
}

/** Translates between Express 5 or 4.18 and `http`. A wrong policy throws when its route is made. */
export function createExpress(http: Http): KeelsonExpress {
  const exchanges = nodeExchanges(expressFrame, http.maxRawBody)
  http.adapter('express')

  /** One that `context()` has not seen is new to http, which then says so. */
  function exchangeOf(req: Request, res: Response): NodeExchange {
    return exchanges.of(req, res, req)
  }

  /** The middleware of a policy. Where it stands only requests tell: at a wrong place it refuses them. */
  function ruled(
    policy: RoutePolicy,
    run: (x: NodeExchange, req: Request, next: NextFunction) => Promise<void>,
  ): RequestHandler {
    const self: RequestHandler = (req, res, next) => {
      const x = exchangeOf(req, res)
      checkRouteMethods(x.route, methodsOf(req, self), policy)
      settle(next, () => run(x, req, next))
    }
    return self
  }

  function route(policy: RoutePolicy): RequestHandler {
    const route = http.compile(policy)
    if (route.transact !== undefined) {
      throw new HttpError(
        'OPTION_INVALID',
        'route: a transactional policy comes with its handler: transaction(policy, handler)',
      )
    }
    return ruled(policy, async (x, _req, next) => {
      if (!(await answered(route, x))) context.run(route.context(x), next)
    })
  }

  return {
    context: () => (req, res, next) => {
      if (exchanges.has(req)) return next()
      context.run(http.begin(exchangeOf(req, res)), next)
    },

    route,
    idempotent: (rule = {}) => route({ idempotent: rule }),
    cached: (cached) => route({ cached }),
    etag: (etag = 'weak') => route({ etag }),
    invalidates: (invalidates) => route({ invalidates }),
    audited: (audited) => route({ audited }),
    rateLimit: (rateLimit) => route({ rateLimit }),
    receive: (receive) => route({ receive }),
    signed: (signed) => route({ signed }),
    allowIps: (allowIps) => route({ allowIps }),
    deadline: (deadline) => route({ deadline }),
    deprecated: (deprecated) => route({ deprecated }),

    early(policy) {
      const route = http.compile(policy)
      return ruled(policy, async (x, _req, next) => {
        const answer = await route.early(x)
        if (answer === undefined) next()
        else await x.send(answer)
      })
    },

    transaction(policy, handler) {
      const route = http.compile({ ...policy, transactional: true })
      return ruled(policy, async (x, req) => {
        if (await answered(route, x)) return
        await x.send(await x.transact(route, (tx, op) => handler(req as Parameters<typeof handler>[0], tx, op)))
      })
    },

    mount: (api) => (req, res) => void exchangeOf(req, res).serve(http, api, req.url),
    shutdown: drainServer,

    errors() {
      const unmatched: RequestHandler = (req, res, next) => {
        // Express itself knows the methods of a path.
        if (req.method === 'OPTIONS') return next()
        settle(next, () => exchangeOf(req, res).unmatched(http))
      }
      const failed: ErrorRequestHandler = (error, req, res, next) => {
        settle(next, () => exchangeOf(req, res).fail(http, error))
      }
      return [unmatched, failed]
    },
  }
}

async function answered(route: Route, x: Exchange): Promise<boolean> {
  const answer = (await route.early(x)) ?? (await route.late(x))
  if (answer !== undefined) await x.send(answer)
  return answer !== undefined
}
