import type { Call, Outcome, TransactionalIdempotency } from '@keelson/idempotency'
import { context, isScope, traced, type KeelsonContext, type StoredResponse } from '@keelson/kernel'
import { rawBodyUnavailable } from './body-tap.ts'
import type { Caching } from './caching/index.ts'
import type { CapturedWriteParts } from './captured-write.ts'
import { deadlineOf, earlyRules } from './early-rules.ts'
import { HttpError } from './error.ts'
import type { Exchange } from './exchange.ts'
import { operationName } from './operation-name.ts'
import type { Work } from './operation.ts'
import type { CheckedOptions } from './options.ts'
import { checkPolicy, type RoutePolicy } from './policy.ts'
import { isHttpProblem } from './problem.ts'
import { principalOf, scopeOf } from './owner.ts'
import type { RequestMetrics } from './request-metrics.ts'
import type { RequestState, RequestStates } from './request-state.ts'

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
  /** Why an answer that should have been kept is not. */
  report(x: Exchange, why: string, error?: unknown): void
  /** The route came to this request. */
  seen(x: Exchange): void
  isClosed(): boolean
}

/** @throws HttpError OPTION_INVALID */
export function compileRoute(policy: RoutePolicy, parts: RouteParts): Route {
  const { options: o, states, metrics, refuse, report, seen, isClosed } = parts
  const rules = checkPolicy(policy, {
    db: o.db !== undefined,
    idempotency: o.idempotency !== undefined,
    cache: o.cache,
    limiters: o.limiters,
    transaction: o.idempotency?.transaction !== undefined && o.idempotency.transactional !== false,
    scope: o.scope !== undefined,
    principal: o.principal !== undefined,
  })
  const { transactional, idempotent } = rules
  // Who does not need them does not load them.
  const limits =
    rules.rateLimit === undefined
      ? undefined
      : later(import('./limiting/index.ts').then(({ limiting }) => limiting(rules.rateLimit!, parts)))
  const refuseEarly = earlyRules(rules, parts, limits && (async (x, state) => (await limits).early(x, state)))
  const keyed = idempotent === undefined ? undefined : later(import('./keyed.ts'))
  const unguarded = transactional ? later(import('./unguarded-write.ts')) : undefined
  const isCaching = rules.cached !== undefined || rules.invalidates !== undefined || Boolean(rules.etag)
  const cachingRules = isCaching
    ? later(import('./caching/index.ts').then(({ caching }) => caching(rules, { ...parts, claim: claimOnce })))
    : undefined

  /** The call under the request's key, read once; undefined without a key. */
  async function callOf(x: Exchange, state: RequestState): Promise<Call | undefined> {
    if (idempotent === undefined) return undefined
    if (state.call?.by !== parts) {
      state.call = { by: parts, read: keyed!.then(({ readCall }) => readCall(x, idempotent, o)) }
    }
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
  function claimOnce(x: Exchange): void {
    const state = stateOf(x)
    if (!state.isClaimed) return void (state.isClaimed = true)
    throw new HttpError('CAPTURE_TWICE', `${x.method} ${x.route} has two policies that keep its answer: one must go`)
  }

  async function early(x: Exchange): Promise<StoredResponse | undefined> {
    const state = stateOf(x)
    seen(x)
    return refuseEarly(x, state)
  }

  async function late(x: Exchange): Promise<StoredResponse | undefined> {
    const state = stateOf(x)
    const limited = limits && !isClosed() ? await (await limits).late(x, state) : undefined
    const refusal = limited ?? (await check(x, state))
    if (refusal !== undefined || transactional) return refusal
    const [call, caching] = [await callOf(x, state), await cachingRules]
    if (call === undefined) return caching && context.run(contextOf(x), () => caching.late(x))
    claimOnce(x)
    const { capturedWrite } = await keyed!
    const parts: CapturedWriteParts = {
      idempotency: o.idempotency!,
      maxBytes: o.maxStoredBytes,
      correlationHeader: o.correlation.header,
      keepsServerErrors: idempotent?.preset === 'stripeV1',
      clock: o.clock,
      refuse: (error) => refuse(error, x),
      told: (outcome) => told(x, state, outcome),
      settled: settledBy(x, caching),
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
    const tenant = scopeOf(x, (idempotent ?? rules.cached)?.scope ?? o.scope)
    const principal = principalOf(x, o)
    const state = states.of(x)
    const deadline = state === undefined ? undefined : deadlineOf(state, rules.deadline)
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
    const state = stateOf(x)
    const refusal = await check(x, state)
    if (refusal !== undefined) return refusal
    const [call, caching] = [await callOf(x, state), await cachingRules]
    const work: Work = async (tx, op) => {
      const value = await handler(tx, op)
      if (x.headersSent) throw new HttpError('INPUT_INVALID', 'a transactional handler must not send its answer')
      return caching?.invalidation === undefined ? value : caching.invalidation.within(x, value)
    }
    const known = contextOf(x)
    return context.run(known, async () => {
      if (call === undefined) {
        const op = operationName(x.method, x.path)
        const { unguardedWrite } = await unguarded!
        return unguardedWrite(o.db!, { ...o, op, scope: known.tenant }, work)
      }
      claimOnce(x)
      const { guardedWrite } = await keyed!
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

/** Begun now, awaited by the first request that needs it. */
function later<T>(module: Promise<T>): Promise<T> {
  module.catch(() => {})
  return module
}

function settledBy(x: Exchange, caching: Caching | undefined): CapturedWriteParts['settled'] {
  return caching?.invalidation === undefined ? undefined : (captured) => caching.invalidation!.after(x, captured)
}

function idsOf({ correlationId, traceparent }: KeelsonContext): object {
  return { correlationId, traceparent }
}
