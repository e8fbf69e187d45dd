import { context, type Component, type KeelsonContext, type Status, type StoredResponse } from '@keelson/kernel'
import { countCalls } from './count-calls.ts'
import { countReads } from './count-reads.ts'
import { counted, noCounts } from './counters.ts'
import { describeError, type Described } from './describe-error.ts'
import type { Exchange } from './exchange.ts'
import { inboundContext } from './inbound-context.ts'
import { checkHttpOptions, type HttpOptions } from './options.ts'
import type { RoutePolicy } from './policy.ts'
import { problemResponse } from './problem-response.ts'
import { isHttpProblem } from './problem.ts'
import { createRequestLog } from './request-log.ts'
import { createRequestMetrics } from './request-metrics.ts'
import { createRequestStates } from './request-state.ts'
import { compileRoute, type Route, type RouteParts } from './route.ts'
import { watchRequest } from './watch-request.ts'

/** What `inspect()` tells of an http. */
export interface HttpStatus extends Status {
  /** The adapters that were attached. */
  readonly adapter?: string
  /** The policies in the order of their making, each with the routes (`POST /orders`) that it was seen at. */
  readonly routes: readonly { readonly policy: RoutePolicy; readonly at: readonly string[] }[]
}

/** The HTTP rules of an application, for an adapter to call. */
export interface Http extends Component {
  inspect(): Promise<HttpStatus>
  /**
   * Once per request, first: correlation id and traceparent, also set on the answer. The adapter runs everything else
   * inside `context.run(http.begin(x), ...)`.
   */
  begin(x: Exchange): KeelsonContext
  /**
   * A policy as decisions.
   * @throws HttpError OPTION_INVALID: unknown rule, missing core, bad value
   */
  compile(policy: RoutePolicy): Route
  /**
   * Any thrown thing as `application/problem+json`; undefined means that no route matched: 404 'not-found'. An error
   * that becomes a 5xx, or comes after the head of the answer, is logged: call it once per error.
   */
  problem(error: unknown, x?: Exchange): StoredResponse
  /** Names the adapter for `inspect()`: 'express 5.3'. */
  adapter(name: string): void
  /** From now on routes with a policy answer 503 'closed'. */
  close(): Promise<void>
  /** Bytes of a body that an adapter keeps for rules that need them. */
  readonly maxRawBody: number
}

/**
 * HTTP semantics without a framework: give it to an adapter such as `createExpress(http)`.
 * @throws HttpError OPTION_INVALID
 */
export function createHttp(options: HttpOptions = {}): Http {
  const o = checkHttpOptions(options, process.env['NODE_ENV'])
  const states = createRequestStates()
  const metrics = createRequestMetrics()
  const log = createRequestLog(o)
  const adapters = new Set<string>()
  const routes: { policy: RoutePolicy; at: Set<string> }[] = []
  const counts = { requests: 0, errors: 0 }
  if (o.cache !== undefined) countReads()
  countCalls()
  let lastError: Status['lastError']
  let hasWarnedOfCoding = false
  let closed = false

  function begin(x: Exchange): KeelsonContext {
    const startedMs = o.clock.monotonic()
    const counters = noCounts()
    const known: { traceparent?: string } & KeelsonContext = counted(
      inboundContext(x, o, startedMs, (header) => metrics.badHeaders.inc({ header })),
      counters,
    )
    x.setHeader(o.correlation.header, known.correlationId!)
    counts.requests++
    const span = watchRequest(x, states.begin(x, known, startedMs, counters), { metrics, log, clock: o.clock })
    if (span !== undefined) known.traceparent = span
    x.setHeader('traceparent', known.traceparent!)
    return known
  }

  function problem(thrown: unknown, x?: Exchange): StoredResponse {
    const error = thrown === undefined ? undefined : mapped(thrown, x)
    const described = describeError(error)
    if (thrown !== undefined && (described.status >= 500 || x?.headersSent === true)) logError(thrown, described, x)
    return render(error, described, x)
  }

  function render(error: unknown, described: Described, x: Exchange | undefined): StoredResponse {
    const inside = o.problems.details ? insideOf(error) : undefined
    return problemResponse(
      o.problems.typeBase,
      described,
      { path: x?.path, correlationId: correlationIdFor(x) },
      inside,
    )
  }

  function logError(err: unknown, { status, code }: Described, x: Exchange | undefined): void {
    o.logger.error({ err, code, status, ...requestOf(x) }, 'request failed')
    counts.errors++
    lastError = { code, at: o.clock.now(), message: messageOf(err) }
  }

  const report: RouteParts['report'] = (x, why, err) => {
    metrics.notStored.inc({ why })
    if (why === 'failed') return o.logger.error({ err, ...requestOf(x) }, 'answered, but not stored')
    if (why === 'left') return o.logger.warn(requestOf(x), 'the client left, and the handler never ended its answer')
    if (why === 'not-invalidated') return o.logger.error({ err, ...requestOf(x) }, 'answered, but not invalidated')
    if (why !== 'content-encoding' || hasWarnedOfCoding) return
    hasWarnedOfCoding = true
    o.logger.warn(requestOf(x), 'compressed behind the rule, and so not stored: mount compression before it')
  }

  function requestOf(x: Exchange | undefined): object {
    return { method: x?.method, route: x?.route, correlationId: correlationIdFor(x) }
  }

  function correlationIdFor(x: Exchange | undefined): string | undefined {
    const known = x === undefined ? context.get() : states.of(x)?.context
    return known?.correlationId
  }

  function mapped(error: unknown, x: Exchange | undefined): unknown {
    try {
      return o.problems.map?.(error, x) ?? error
    } catch (failure) {
      o.logger.warn({ err: failure }, 'problems.map threw: the error is answered without it')
      return error
    }
  }

  async function close(): Promise<void> {
    closed = true
  }

  function compile(policy: RoutePolicy): Route {
    const at = new Set<string>()
    const route = compileRoute(policy, {
      options: o,
      states,
      metrics,
      refuse: (error, x) => render(error, describeError(error), x),
      report,
      statusOf: (error, x) => describeError(mapped(error, x)).status,
      seen: (x) => void (at.size < MAX_SEEN && at.add(`${x.method} ${x.route}`)),
      isClosed: () => closed,
    })
    routes.push({ policy, at })
    return route
  }

  async function inspect(): Promise<HttpStatus> {
    return {
      name: 'http',
      state: closed ? 'down' : 'ok',
      counts: { ...counts },
      ...(lastError === undefined ? {} : { lastError }),
      ...(adapters.size === 0 ? {} : { adapter: [...adapters].join(', ') }),
      routes: routes.map(({ policy, at }) => ({ policy, at: [...at] })),
    }
  }

  return {
    begin,
    problem,
    compile,
    adapter: (name) => void adapters.add(name),
    inspect,
    metrics: metrics.families,
    close,
    [Symbol.asyncDispose]: close,
    maxRawBody: o.maxRawBody,
  }
}

/** A policy that a whole application shares is seen at all of its routes. */
const MAX_SEEN = 100

/** An HttpProblem was written for the client; of another error its message and stack are for developers. */
function insideOf(error: unknown): { message: string; stack?: string | undefined } | undefined {
  if (error === undefined || isHttpProblem(error)) return undefined
  return { message: messageOf(error), ...(error instanceof Error ? { stack: error.stack } : {}) }
}

function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message
  return typeof error === 'string' ? error : `a thrown ${typeof error}`
}
