import type { Call, Outcome, TransactionalIdempotency } from '@keelson/idempotency'
import { context, isScope, traced, type KeelsonContext, type StoredResponse } from '@keelson/kernel'
import { rawBodyUnavailable } from './body-tap.ts'
import { capturedWrite, type CapturedWriteParts } from './captured-write.ts'
import { deadlineOf, earlyRules } from './early-rules.ts'
import { HttpError } from './error.ts'
import type { Exchange } from './exchange.ts'
import { guardedWrite } from './guarded-write.ts'
import { operationName } from './operation-name.ts'
import type { Work } from './operation.ts'
import type { CheckedOptions } from './options.ts'
import { checkPolicy, type RoutePolicy } from './policy.ts'
import { isHttpProblem } from './problem.ts'
import { principalOf, readCall, scopeOf } from './read-call.ts'
import type { RequestMetrics } from './request-metrics.ts'
import type { RequestState, RequestStates } from './request-state.ts'
import { unguardedWrite } from './unguarded-write.ts'

/** A compiled policy: what an adapter calls, in this order. An answer ends the request; undefined goes on. */
export interface Route {
  readonly policy: RoutePolicy
  /** Before authentication. */
  early(x: Exchange): Promise<StoredResponse | undefined>
  /** After authentication and body parsing. */
  late(x: Exchange): Promise<StoredResponse | undefined>
  /** After `late`: with tenant and principal. The handler runs inside `context.run(route.context(x), ...)`. */
  context(x: Exchange): KeelsonContext
  /** Only of a transactional route: runs the handler, inside its context, and answers what to send. */
  transact?(x: Exchange, work: Work): Promise<StoredResponse>
}

/** What a route has from its http. */
export interface RouteParts {
  readonly options: CheckedOptions
  readonly states: RequestStates
  readonly metrics: RequestMetrics
  /** What is answered to a refusal. */
  refuse(error: Error, x: Exchange): StoredResponse
  report(x: Exchange, ...about: Parameters<CapturedWriteParts['report']>): void
  /** The route came to this request. */
  seen(x: Exchange): void
  isClosed(): boolean
}

/** @throws HttpError OPTION_INVALID */
export function compileRoute(policy: RoutePolicy, parts: RouteParts): Route {
  const { options: o, states, metrics, refuse, report, seen, isClosed } = parts
  const { transactional, idempotent, ...before } = checkPolicy(policy, {
    db: o.db !== undefined,
    idempotency: o.idempotency !== undefined,
    transaction: o.idempotency?.transaction !== undefined && o.idempotency.transactional !== false,
    scope: o.scope !== undefined,
  })
  const refuseEarly = earlyRules(before, parts)

  /** The call under the request's key, read once; undefined without a key. */
  async function callOf(x: Exchange, state: RequestState): Promise<Call | undefined> {
    if (idempotent === undefined) return undefined
    if (state.call?.by !== parts) state.call = { by: parts, read: readCall(x, idempotent, o) }
    return state.call.read
  }

  function stateOf(x: Exchange): RequestState {
    const state = states.of(x)
    if (state === undefined) throw rawBodyUnavailable()
    return state
  }

  /** What stands between the request and its handler. */
  async function check(x: Exchange, state: RequestState): Promise<StoredResponse | undefined> {
    if (isClosed()) return refuse(new HttpError('CLOSED', 'this process no longer takes requests'), x)
    try {
      await callOf(x, state)
      return undefined
    } catch (error) {
      if (!isHttpProblem(error) || error.status >= 500) throw error
      if (error.code.startsWith('key-')) count(x, error.code.slice('key-'.length))
      return refuse(error, x)
    }
  }

  /** A second claim of one request could only wait for the first. */
  function claimOnce(x: Exchange, state: RequestState): void {
    if (!state.isClaimed) return void (state.isClaimed = true)
    throw new HttpError(
      'CAPTURE_TWICE',
      `${x.method} ${x.route} has two policies with "idempotent": one of them must go`,
    )
  }

  async function early(x: Exchange): Promise<StoredResponse | undefined> {
    const state = stateOf(x)
    seen(x)
    return refuseEarly(x, state)
  }

  /** In the order of the documentation, what comes with later packages will stand in front of the key. */
  async function late(x: Exchange): Promise<StoredResponse | undefined> {
    const state = stateOf(x)
    const refusal = await check(x, state)
    if (refusal !== undefined || transactional) return refusal
    const call = await callOf(x, state)
    if (call === undefined) return undefined
    claimOnce(x, state)
    const parts: CapturedWriteParts = {
      idempotency: o.idempotency!,
      maxBytes: o.maxStoredBytes,
      correlationHeader: o.correlation.header,
      keepsServerErrors: idempotent?.preset === 'stripeV1',
      clock: o.clock,
      refuse: (error) => refuse(error, x),
      told: (outcome) => told(x, state, outcome),
      report: (...about) => report(x, ...about),
    }
    return context.run(contextOf(x), () => capturedWrite(x, call, parts))
  }

  function told(x: Exchange, state: RequestState, outcome: Outcome<unknown>): void {
    state.isReplayed = outcome.ok && outcome.replayed
    count(x, outcome.ok ? outcome.kind : outcome.code.toLowerCase())
    if (!outcome.ok || !outcome.replayed) return
    const { operationId, firstTraceparent } = outcome
    void traced(
      'http:replay',
      () => ({ method: x.method, route: x.route, operationId, firstTraceparent, ...idsOf(state.context) }),
      async () => {},
    )
  }

  function count(x: Exchange, outcome: string): void {
    metrics.idempotency.inc({ route: x.route, outcome })
  }

  function contextOf(x: Exchange): KeelsonContext {
    const tenant = scopeOf(x, idempotent?.scope ?? o.scope)
    const principal = principalOf(x, o)
    const state = states.of(x)
    const deadline = state === undefined ? undefined : deadlineOf(state, before.deadline)
    const known = {
      ...state?.context,
      ...(deadline === undefined ? {} : { deadline }),
      ...(isScope(tenant) ? { tenant } : {}),
      ...(principal === undefined ? {} : { principal }),
    }
    if (state !== undefined) state.known = known
    return known
  }

  async function transact(x: Exchange, handler: Work): Promise<StoredResponse> {
    const work: Work = async (tx, op) => {
      const value = await handler(tx, op)
      if (!x.headersSent) return value
      throw new HttpError('INPUT_INVALID', 'a transactional handler must not send its answer')
    }
    const state = stateOf(x)
    const refusal = await check(x, state)
    if (refusal !== undefined) return refusal
    const call = await callOf(x, state)
    const known = contextOf(x)
    return context.run(known, async () => {
      if (call === undefined) {
        const op = operationName(x.method, x.path)
        return unguardedWrite(o.db!, { ...o, op, scope: known.tenant }, work)
      }
      claimOnce(x, state)
      const core = o.idempotency as TransactionalIdempotency
      const result = await guardedWrite(x, core, { ...call, retries: o.retries }, work, {
        correlationHeader: o.correlation.header,
        told: (outcome) => told(x, state, outcome),
      })
      return 'refusal' in result ? refuse(result.refusal, x) : result.response
    })
  }

  return {
    policy,
    early,
    late,
    context: contextOf,
    ...(transactional ? { transact } : {}),
  }
}

function idsOf({ correlationId, traceparent }: KeelsonContext): object {
  return { correlationId, traceparent }
}
