import { HttpError, type FetchHandler, type Http, type Route, type RoutePolicy } from '@keelson/http'
import { checkRouteMethods } from '@keelson/http/adapter'
import { drainServer, giveReply, nodeExchanges, settle } from '@keelson/http/node'
import { checkOptions, context, isKeelsonError, opt } from '@keelson/kernel'
import type {
  FastifyInstance,
  FastifyPluginAsync,
  FastifyReply,
  FastifyRequest,
  HookHandlerDoneFunction,
  onSendHookHandler,
  preHandlerHookHandler,
  RouteHandlerMethod,
  RouteOptions,
} from 'fastify'
import { mount } from './mount.ts'
import { fastifyFrame, type KeelsonFastify, type Known } from './request.ts'

/** What the plugin takes. */
export interface KeelsonOptions {
  readonly http: Http
  /**
   * Which errors are answered as problems: 'keelson' (default), those of Keelson and `problem()`, in front of any error
   * handler of yours, which gets all others; 'all': every error that no handler of yours answers, and 404.
   */
  readonly problems?: 'keelson' | 'all'
}

const SPEC = {
  http: opt.port<Http>(['begin', 'compile', 'problem', 'adapter']),
  problems: opt.oneOf(['keelson', 'all'], 'keelson'),
}
const invalid = (message: string, cause?: unknown): HttpError => new HttpError('OPTION_INVALID', message, { cause })

/** A compiled policy, in the config of its route; by Symbol.for, for there may be two copies of this package. */
const ROUTE = Symbol.for('keelson.fastify.route')
type Config = NonNullable<RouteOptions['config']> & { [ROUTE]?: Route }

async function plugin(app: FastifyInstance, options: KeelsonOptions): Promise<void> {
  const { http, problems } = checkOptions('keelson', options, SPEC, invalid)
  if (http === undefined) throw invalid('keelson: option "http" is missing: createHttp()')
  if (app.hasDecorator('keelson')) return app.log.warn('@keelson/fastify is registered twice: the second does nothing')
  const exchanges = nodeExchanges(fastifyFrame, http.maxRawBody)
  http.adapter(`fastify ${app.version}`)

  /** One that `onRequest` has not seen is new to http, which then says so. */
  function known(request: FastifyRequest, reply: FastifyReply): Known {
    const seen = request.keelson as Known | null
    if (seen !== null) return seen
    const exchange = exchanges.of(request.raw, reply.raw, request)
    const first: Known = { context: {}, exchange, reply, options: request.routeOptions }
    request.keelson = first
    return first
  }

  function fail(error: unknown, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    return known(request, reply).exchange.fail(http!, error)
  }

  /** Rejects with what is not ours: if it threw, Fastify would answer what is no Error as a payload. */
  async function passOn(error: unknown, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (!isKeelsonError(error)) throw error
    await fail(error, request, reply)
  }

  /** What comes before the body is read, authentication included. */
  function early({ exchange, options }: Known, done: (error?: Error) => void): void {
    const { [ROUTE]: route }: Config = options.config
    if (route === undefined) return done(invalid(`${nameOf(options)} ${UNRULED}`))
    settle(done, async () => {
      const answer = await route.early(exchange)
      if (answer === undefined) done()
      else await exchange.send(answer)
    })
  }

  /** After all hooks in front of the handler, which runs inside the route's context. */
  function late(route: Route): preHandlerHookHandler {
    return (request, reply, done) => {
      const seen = known(request, reply)
      settle(done, async () => {
        const answer = await route.late(seen.exchange)
        if (answer !== undefined) return seen.exchange.send(answer)
        seen.context = route.context(seen.exchange)
        context.run(seen.context, done)
      })
    }
  }

  const captured: onSendHookHandler = (request, reply, payload, done) => {
    known(request, reply)
      .exchange.payload(payload)
      .then((held) => done(null, held))
      .catch(done)
  }

  function transacted(route: Route, handler: RouteHandlerMethod): RouteHandlerMethod {
    return async function (request, reply) {
      const seen = known(request, reply)
      const answer = await seen.exchange.transact(route, (tx, op) => {
        Object.assign(seen, { tx, op })
        return handler.call(this, request, reply)
      })
      giveReply(reply, answer)
      return reply
    }
  }

  app.decorateRequest('keelson', null as never)
  app.decorate('keelson', {
    getter(this: FastifyInstance): KeelsonFastify {
      const serve = (api: FetchHandler) => (request: FastifyRequest, reply: FastifyReply, target: string) =>
        known(request, reply).exchange.serve(http, api, target)
      return { mount: (prefix, api) => mount(this, prefix, serve(api)), shutdown: () => drainServer(this.server) }
    },
  } as never)

  app.addHook('onRequest', (request, reply, done) => {
    const seen = known(request, reply)
    seen.context = http.begin(seen.exchange)
    if (seen.options.config.keelson === undefined) context.run(seen.context, done)
    else context.run(seen.context, () => early(seen, done))
  })

  /** The policies at GET, by url: Fastify makes a route for HEAD of each, without the slash at the end or with it. */
  const atGet = new Map<string, RoutePolicy>()
  const urlOf = ({ url }: RouteOptions): string => url.replace(/\/$/, '')

  app.addHook('onRoute', (options) => {
    const { errorHandler, config } = options
    // It may answer later, by a callback: behind a promise Fastify would not wait for that.
    // oxlint-disable-next-line typescript/no-misused-promises -- Fastify waits for one, whatever its types say
    options.errorHandler = function (error, request, reply) {
      const isOurs = errorHandler === undefined || isKeelsonError(error)
      return isOurs ? passOn(error, request, reply) : errorHandler.call(this, error, request, reply)
    }
    const policy = config?.keelson
    if (policy === undefined) return
    const methods = [options.method].flat()
    if (methods.includes('GET')) atGet.set(urlOf(options), policy)
    if (atGet.get(urlOf(options)) !== policy) checkRouteMethods(options.url, methods, policy)
    const route = compile(http, policy, nameOf(options))
    options.config = { ...config, [ROUTE]: route } as Config
    options.preHandler = [options.preHandler ?? [], late(route)].flat()
    if (route.transact === undefined) options.onSend = [options.onSend ?? [], captured].flat()
    else options.handler = transacted(route, options.handler)
  })

  for (let outer = Object.getPrototypeOf(app) as FastifyInstance; 'addHook' in outer;) {
    outer.addHook('onRoute', refuseOutside).addHook('onRequest', refuseUnruled)
    outer = Object.getPrototypeOf(outer) as FastifyInstance
  }

  if (problems === 'keelson') return
  app.setErrorHandler(fail)
  app.setNotFoundHandler((request, reply) => known(request, reply).exchange.unmatched(http))
}

/** On the instances around one that is encapsulated: their routes never have their rules. */
function refuseOutside(this: FastifyInstance, options: RouteOptions): void {
  const isOutside = options.config?.keelson !== undefined && !this.hasDecorator('keelson')
  if (isOutside) throw invalid(`${nameOf(options)} ${UNRULED}`)
}

/** For routes that no plugin has seen when they were added. */
function refuseUnruled({ routeOptions }: FastifyRequest, _reply: FastifyReply, done: HookHandlerDoneFunction): void {
  const config: Config = routeOptions.config
  const isRuled = config.keelson === undefined || config[ROUTE] !== undefined
  done(isRuled ? undefined : invalid(`${nameOf(routeOptions)} ${UNRULED}`))
}

const UNRULED = 'is outside of the plugin, or was added before it: await app.register(keelson, ..), in the same scope'

/** @throws HttpError OPTION_INVALID, naming the route: the application does not start */
function compile(http: Http, policy: RoutePolicy, name: string): Route {
  try {
    return http.compile(policy)
  } catch (error) {
    throw isKeelsonError(error) ? invalid(`${name}: ${error.message}`, error) : error
  }
}

function nameOf({ method, url }: { readonly method?: unknown; readonly url?: string | undefined }): string {
  return `${String(method)} ${String(url)}`
}

/**
 * Translates between Fastify 5 and `http`: `await app.register(keelson, { http })`, before anything that compresses, and
 * before routes. A route's rules are its `config.keelson`; a wrong one stops the start.
 */
export const keelson: FastifyPluginAsync<KeelsonOptions> = Object.assign(plugin, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@keelson/fastify',
  [Symbol.for('plugin-meta')]: { name: '@keelson/fastify', fastify: '5.x' },
})
