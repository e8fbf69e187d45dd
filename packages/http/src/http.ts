import { context, traced, type Component, type KeelsonContext, type Status, type StoredResponse } from '@keelson/kernel'
import { correlationIdOf } from './correlation.ts'
import { counted, noCounts } from './counters.ts'
import { readRetryAttempt, readTimeout, timeLeft } from './deadline.ts'
import { describeError, type Described } from './describe-error.ts'
import type { Exchange } from './exchange.ts'
import { checkHttpOptions, type HttpOptions } from './options.ts'
import type { RoutePolicy } from './policy.ts'
import { problemResponse } from './problem-response.ts'
import { isHttpProblem } from './problem.ts'
import { randomHex } from './random-hex.ts'
import { createRequestLog } from './request-log.ts'
import { createRequestMetrics, methodLabel } from './request-metrics.ts'
import { createRequestStates, type RequestState } from './request-state.ts'
import { compileRoute, type Route, type RouteParts } from './route.ts'
import { isSameTrace, traceparentOf } from './traceparent.ts'

/** What `inspect()` tells of an http. */
export interface HttpStatus extends Status {
  /** The adapters that were attached. */
  readonly adapter?: string
  /** The policies in the order of their making, each with the routes (`POST /orders`) that it was seen at. */
  readonly routes: readonly { readonly policy: RoutePolicy; readonly at: readonly string[] }[]
}

/** What listeners of `keelson:http:request` are told; `status`, `bytes`, `aborted` and `route` when it has ended. */
interface RequestMessage {
  readonly method: string
  readonly path: string
  readonly correlationId: string | undefined
  readonly traceparent: string | undefined
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
  let lastError: Status['lastError']
  let hasWarnedOfCoding = false
  let closed = false

  function begin(x: Exchange): KeelsonContext {
    const startedMs = o.clock.monotonic()
    const counters = noCounts()
    const known = counted(contextOf(x, startedMs), counters)
    x.setHeader(o.correlation.header, known.correlationId!)
    x.setHeader('traceparent', known.traceparent!)
    watch(x, states.begin(x, { context: known, startedMs, counters }))
    return known
  }

  /** What the request says of itself, and what is made up for it. What means nothing is ignored and counted. */
  function contextOf(x: Exchange, startedMs: number): KeelsonContext {
    const ids = x.headerLines(o.correlation.header)
    const correlationId = correlationIdOf(ids, o.correlation.accept, o.clock)
    if (ids.length > 0 && correlationId !== ids[0]) bad(o.correlation.header)
    const parents = x.headerLines('traceparent')
    const traceparent = traceparentOf(parents, randomHex)
    if (parents.length > 0 && !isSameTrace(parents[0]!, traceparent)) bad('traceparent')
    const timeout = readTimeout(x.headerLines('x-request-timeout-ms'))
    if (timeout.isMalformed) bad('x-request-timeout-ms')
    const retry = readRetryAttempt(x.headerLines('x-retry-attempt'), x.headerLines('x-retry'))
    if (retry.isMalformed) bad('x-retry-attempt')
    const leftMs = timeLeft(timeout.value, o.deadline)
    return {
      correlationId,
      traceparent,
      ...(leftMs === undefined ? {} : { deadline: startedMs + leftMs }),
      ...(retry.value === undefined ? {} : { retryAttempt: retry.value }),
    }
  }

  function bad(header: string): void {
    metrics.badHeaders.inc({ header })
  }

  /** From its first line to its last. */
  function watch(x: Exchange, state: RequestState): void {
    counts.requests++
    metrics.inFlight.add(1)
    log?.begun(x, state)
    x.onHead(() => x.setHeader('X-Response-Time', `${(o.clock.monotonic() - state.startedMs).toFixed(3)}ms`))
    const { correlationId, traceparent } = state.context
    let message: RequestMessage | undefined
    const ended = (end: Parameters<Parameters<Exchange['onEnd']>[0]>[0]): void => {
      const ms = o.clock.monotonic() - state.startedMs
      const labels = { method: methodLabel(x.method), route: x.route }
      metrics.inFlight.add(-1)
      metrics.requests.inc({ ...labels, status: end.aborted ? 'aborted' : String(end.status) })
      metrics.seconds.observe(ms / 1_000, labels)
      log?.ended(x, state, end, ms)
      if (message !== undefined) Object.assign(message, { route: x.route, ...end })
    }
    void traced(
      'http:request',
      () => (message = { method: x.method, path: x.path, correlationId, traceparent }),
      () => new Promise<void>((resolve) => x.onEnd((end) => resolve(ended(end)))),
    )
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
    if (why !== 'content-encoding' || hasWarnedOfCoding) return
    hasWarnedOfCoding = true
    o.logger.warn(requestOf(x), 'compressed behind the idempotent rule, and so not stored: mount compression before it')
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
