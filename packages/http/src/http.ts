import type { KeelsonContext, StoredResponse } from '@keelson/kernel'
import { correlationIdOf } from './correlation.ts'
import { describeError, type Described } from './describe-error.ts'
import type { Exchange } from './exchange.ts'
import { checkHttpOptions, type HttpOptions } from './options.ts'
import type { RoutePolicy } from './policy.ts'
import { problemResponse } from './problem-response.ts'
import { isHttpProblem } from './problem.ts'
import { randomHex } from './random-hex.ts'
import { createRequestStates } from './request-state.ts'
import { compileRoute, type Route, type RouteParts } from './route.ts'
import { traceparentOf } from './traceparent.ts'

/** The HTTP rules of an application, for an adapter to call. */
export interface Http {
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
  /** Names the adapter in the log: 'express'. */
  adapter(name: string): void
  /** From now on routes with a policy answer 503 'closed'. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
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
  let hasWarnedOfCoding = false
  let closed = false

  function begin(x: Exchange): KeelsonContext {
    const correlationId = correlationIdOf(x.headerLines(o.correlation.header), o.correlation.accept, o.clock)
    const traceparent = traceparentOf(x.headerLines('traceparent'), randomHex)
    x.setHeader(o.correlation.header, correlationId)
    x.setHeader('traceparent', traceparent)
    const begun = { correlationId, traceparent }
    states.begin(x, begun)
    return begun
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
  }

  const report: RouteParts['report'] = (x, what, err) => {
    switch (what) {
      case 'left':
        return o.logger.warn(requestOf(x), 'the client left and the handler did not end its answer: nothing is stored')
      case 'not-stored':
        return o.logger.error({ err, ...requestOf(x) }, 'the answer was sent, but not stored')
      case 'coded':
        if (!hasWarnedOfCoding)
          o.logger.warn(
            requestOf(x),
            'answers are compressed behind the idempotent route, and so not stored: mount compression in front of it',
          )
        hasWarnedOfCoding = true
    }
  }

  function requestOf(x: Exchange | undefined): object {
    return { method: x?.method, route: x?.route, correlationId: correlationIdFor(x) }
  }

  function correlationIdFor(x: Exchange | undefined): string | undefined {
    return x === undefined ? undefined : states.of(x)?.context.correlationId
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

  return {
    begin,
    problem,
    compile: (policy) =>
      compileRoute(policy, {
        options: o,
        states,
        refuse: (error, x) => render(error, describeError(error), x),
        report,
        isClosed: () => closed,
      }),
    adapter: (name) => o.logger.debug({ adapter: name }, 'http is attached'),
    close,
    [Symbol.asyncDispose]: close,
    maxRawBody: o.maxRawBody,
  }
}

/** An HttpProblem was written for the client; of another error its message and stack are for developers. */
function insideOf(error: unknown): { message: string; stack?: string | undefined } | undefined {
  if (error === undefined || isHttpProblem(error)) return undefined
  if (error instanceof Error) return { message: error.message, stack: error.stack }
  return { message: typeof error === 'string' ? error : `a thrown ${typeof error}` }
}
