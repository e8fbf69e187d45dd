import type { Call, Outcome, TransactionalIdempotency } from '@keelson/idempotency'
import { traced, type KeelsonContext, type StoredResponse } from '@keelson/kernel'
import { capturedWrite, type CapturedWriteParts } from './captured-write.ts'
import type { Exchange } from './exchange.ts'
import { guardedWrite } from './guarded-write.ts'
import type { Work } from './operation.ts'
import type { CheckedIdempotentRule } from './policy.ts'
import { isHttpProblem } from './problem.ts'
import { readCall } from './read-call.ts'
import type { RequestState } from './request-state.ts'
import type { RouteParts } from './route.ts'

/** What routes under a key do: with the rule `idempotent`, and with `receive`. Loaded by the first of them. */
export interface Keyed {
  /** The call under the request's key, read once; undefined without a key. */
  callOf(x: Exchange, state: RequestState): Promise<Call | undefined>
  /** The answer to a key that cannot be read. */
  check(x: Exchange, state: RequestState): Promise<StoredResponse | undefined>
  /** Around a handler of any style: an answer in its place, or undefined. */
  captured(
    x: Exchange,
    state: RequestState,
    call: Call,
    around: Pick<CapturedWriteParts, 'entering' | 'settled'>,
  ): Promise<StoredResponse | undefined>
  /** A transactional handler and its answer. */
  transacted(x: Exchange, state: RequestState, call: Call, work: Work): Promise<StoredResponse>
}

export function keyed(rule: CheckedIdempotentRule, parts: RouteParts): Keyed {
  const { options: o, metrics, refuse, report } = parts
  const { preset } = rule

  async function callOf(x: Exchange, state: RequestState): Promise<Call | undefined> {
    if (state.call?.by !== rule) state.call = { by: rule, read: readCall(x, rule, o, state) }
    return state.call.read
  }

  const partsOf = (x: Exchange, state: RequestState) => ({
    preset,
    correlationHeader: o.correlation.header,
    told: (outcome: Outcome<unknown>) => told(x, state, outcome),
  })

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

  return {
    callOf,

    async check(x, state) {
      try {
        await callOf(x, state)
        return undefined
      } catch (error) {
        if (!isHttpProblem(error) || error.status >= 500) throw error
        if (error.code.startsWith('key-')) count(x, error.code.slice('key-'.length))
        return refuse(error, x)
      }
    },

    captured(x, state, call, around) {
      return capturedWrite(x, call, {
        ...partsOf(x, state),
        idempotency: o.idempotency!,
        maxBytes: o.maxStoredBytes,
        clock: o.clock,
        refuse: (error) => refuse(error, x),
        ...around,
        report: (...about) => report(x, ...about),
      })
    },

    async transacted(x, state, call, work) {
      const core = o.idempotency as TransactionalIdempotency
      const result = await guardedWrite(x, core, { ...call, retries: o.retries }, work, partsOf(x, state))
      return 'refusal' in result ? refuse(result.refusal, x) : result.response
    },
  }
}

function idsOf({ correlationId, traceparent }: KeelsonContext): object {
  return { correlationId, traceparent }
}
