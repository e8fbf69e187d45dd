import { context, isScope, type KeelsonContext, type StoredResponse } from '@keelson/kernel'
import { rawBodyUnavailable } from './body-tap.ts'
import type { Auditing } from './auditing/index.ts'
import type { Caching } from './caching/index.ts'
import type { CapturedWriteParts } from './captured-write.ts'
import { deadlineOf, earlyRules } from './early-rules.ts'
import { HttpError } from './error.ts'
import type { Exchange } from './exchange.ts'
import type { Work } from './operation.ts'
import type { CheckedOptions } from './options.ts'
import { checkPolicy, type RoutePolicy } from './policy.ts'
import { principalOf, scopeOf } from './owner.ts'
import { RECEIVED } from './received.ts'
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
  /** Of the answer to a thrown thing. */
  statusOf(error: unknown, x: Exchange): number
  /** The route came to this request. */
  seen(x: Exchange): void
  isClosed(): boolean
}

/** @throws HttpError OPTION_INVALID */
export function compileRoute(policy: RoutePolicy, parts: RouteParts): Route {
  const { options: o, states, refuse, seen, isClosed } = parts
  const rules = checkPolicy(policy, {
    db: o.db !== undefined,
    idempotency: o.idempotency !== undefined,
    cache: o.cache,
    audit: o.audit,
    limiters: o.limiters,
    transaction: o.idempotency?.transaction !== undefined && o.idempotency.transactional !== false,
    scope: o.scope !== undefined,
    principal: o.principal !== undefined,
  })
  const { transactional, idempotent } = rules
  // Who does not need them does not load them.
  const limits =
    rules.rateLimit && later(import('./limiting/index.ts').then(({ limiting }) => limiting(rules.rateLimit!, parts)))
  const refuseEarly = earlyRules(rules, parts, limits && (async (x, state) => (await limits).early(x, state)))
  const isVerified = rules.signed !== undefined || rules.receive !== undefined
  const verifies = isVerified
    ? later(import('./verifying.ts').then(({ verifying }) => verifying(rules, parts)))
    : undefined
  const keys = idempotent && later(import('./keyed.ts').then(({ keyed }) => keyed(idempotent, parts)))
  const unguarded = transactional ? later(import('./unguarded-write.ts')) : undefined
  const isCaching = rules.cached !== undefined || rules.invalidates !== undefined || Boolean(rules.etag)
  const cachingRules = isCaching
    ? later(import('./caching/index.ts').then(({ caching }) => caching(rules, { ...parts, claim: claimOnce })))
    : undefined
  const { audited } = rules
  const audits =
    audited &&
    later(
      import('./auditing/index.ts').then(({ auditing }) =>
        auditing(audited, { ...parts, contextOf, preset: idempotent?.preset, claim: claimOnce }),
      ),
    )

  function stateOf(x: Exchange): RequestState {
    const state = states.of(x)
    if (state === undefined) throw rawBodyUnavailable()
    return state
  }

  /** Who asks is known before anything is counted or claimed for them. */
  async function verify(x: Exchange, state: RequestState): Promise<StoredResponse | undefined> {
    if (isClosed()) return refuse(new HttpError('CLOSED', 'this process no longer takes requests'), x)
    return verifies && (await verifies)(x, state)
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
    const audit = await audits
    audit?.begin(x)
    return told(x, audit, await refuseEarly(x, state))
  }

  async function late(x: Exchange): Promise<StoredResponse | undefined> {
    const state = stateOf(x)
    const refusal =
      (await verify(x, state)) ??
      (limits && (await (await limits).late(x, state))) ??
      (keys && (await (await keys).check(x, state)))
    const audit = await audits
    if (refusal !== undefined || transactional) return told(x, audit, refusal)
    const [call, caching] = [await (await keys)?.callOf(x, state), await cachingRules]
    if (call === undefined) {
      if (caching === undefined && audit === undefined) return undefined
      const rest = caching && ((settled?: Settled) => caching.late(x, settled))
      return context.run(contextOf(x), () => (audit === undefined ? rest?.() : audit.around(x, rest)))
    }
    claimOnce(x)
    const rule = (await keys)!
    const around = { entering: audit && (() => audit.before(x)), settled: settledBy(x, caching, audit) }
    const answer = await context.run(contextOf(x), () => rule.captured(x, state, call, around))
    if (answer === undefined) audit?.enter(x)
    return told(x, audit, answer)
  }

  function contextOf(x: Exchange): KeelsonContext {
    const tenant = scopeOf(x, (idempotent ?? rules.cached)?.scope, o)
    const principal = principalOf(x, o)
    const state = states.of(x)
    const deadline = state === undefined ? undefined : deadlineOf(state, rules.deadline)
    const known = {
      ...state?.context,
      ...(deadline === undefined ? {} : { deadline }),
      ...(isScope(tenant) ? { tenant } : {}),
      ...(principal === undefined ? {} : { principal }),
      ...(state?.received === undefined ? {} : { [RECEIVED]: state.received }),
    }
    if (state !== undefined) state.known = known
    return known
  }

  async function transact(x: Exchange, handler: Work): Promise<StoredResponse> {
    const state = stateOf(x)
    const refusal = (await verify(x, state)) ?? (keys && (await (await keys).check(x, state)))
    const audit = await audits
    if (refusal !== undefined) return told(x, audit, refusal)
    const [call, caching] = [await (await keys)?.callOf(x, state), await cachingRules]
    const work: Work = async (tx, op) => {
      const value = await handler(tx, op)
      if (x.headersSent) throw new HttpError('INPUT_INVALID', 'a transactional handler must not send its answer')
      const answer = caching?.invalidation === undefined ? value : caching.invalidation.within(x, value)
      return audit === undefined ? answer : audit.within(x, answer)
    }
    const known = contextOf(x)
    const write = async (): Promise<StoredResponse> => {
      if (call === undefined) {
        const { unguardedWrite } = await unguarded!
        return unguardedWrite(x, { ...o, db: o.db!, scope: known.tenant }, work)
      }
      claimOnce(x)
      return (await keys)!.transacted(x, state, call, work)
    }
    return context.run(known, () => (audit === undefined ? write() : audit.committing(x, write)))
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

type Settled = NonNullable<CapturedWriteParts['settled']>

function settledBy(x: Exchange, caching: Caching | undefined, audit: Auditing | undefined): Settled | undefined {
  if (caching?.invalidation === undefined && audit === undefined) return undefined
  return async (captured) => {
    await caching?.invalidation?.after(x, captured)
    await audit?.settled(x)(captured)
  }
}

/** What is answered in place of a handler leaves when it is recorded. */
async function told<A extends StoredResponse | undefined>(
  x: Exchange,
  audit: Auditing | undefined,
  answer: A,
): Promise<A> {
  if (answer !== undefined) await audit?.answered(x, answer)
  return answer
}
