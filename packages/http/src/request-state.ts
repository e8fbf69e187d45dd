import type { Call } from '@keelson/idempotency'
import type { KeelsonContext } from '@keelson/kernel'
import type { Counters } from './counters.ts'
import type { Exchange } from './exchange.ts'
import type { Taken } from './limiting/rate-headers.ts'
import type { RateRule } from './policy.ts'

/** What an http keeps of a request that began. */
export interface RequestState {
  readonly context: KeelsonContext
  /** On the monotonic clock. */
  readonly startedMs: number
  readonly counters: Counters
  /** With tenant and principal, once a route has asked for them. */
  known: KeelsonContext | undefined
  /** Its answer is kept by a route. */
  isClaimed: boolean
  /** Its answer is that of an earlier request. */
  isReplayed: boolean
  /** What the rule `cached` did. */
  cache: string | undefined
  /** What was taken of limiters, by the rule as it was given; undefined without such a rule. */
  limits: Map<RateRule, Taken> | undefined
  /** The call under its key, of the route that has read it last. */
  call: { readonly by: object; readonly read: Promise<Call | undefined> } | undefined
}

/** The states of one http: two of them may see the same exchange. */
export interface RequestStates {
  begin(x: Exchange, context: KeelsonContext, startedMs: number, counters: Counters): RequestState
  /** Undefined for a request that this http has not seen. */
  of(x: Exchange): RequestState | undefined
}

/** Kept on the exchange: to the collector a WeakMap of short-lived keys costs more than all the rest. */
export function createRequestStates(): RequestStates {
  const STATE = Symbol('keelson.http')
  type Known = Exchange & { [STATE]?: RequestState }
  return {
    begin: (x, context, startedMs, counters) =>
      ((x as Known)[STATE] = {
        context,
        startedMs,
        counters,
        known: undefined,
        isClaimed: false,
        isReplayed: false,
        cache: undefined,
        limits: undefined,
        call: undefined,
      }),
    of: (x) => (x as Known)[STATE],
  }
}
