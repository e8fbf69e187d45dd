import type { Call } from '@keelson/idempotency'
import type { Verified } from '@keelson/webhooks/verify'
import type { KeelsonContext } from '@keelson/kernel'
import type { Counters } from './counters.ts'
import type { Exchange } from './exchange.ts'
import type { Taken } from './limiting/rate-headers.ts'
import type { AuditedRule, RateRule } from './policy.ts'

/** What a rule `audited` knows of a request. */
export interface Audited {
  /** Its entry is under way, or there. */
  isTold: boolean
  /** The handler runs, or has run: its answer is what counts. */
  isEntered: boolean
  /** The status that the transaction commits with an entry of its own. */
  committing: number | undefined
  /** The id of the entry that told before the handler what is tried. */
  intent: string | undefined
  /** Waits for a handler whose client has left. */
  left: { cancel(): void } | undefined
}

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
  /** By the rule as it was given; undefined without one. */
  audited: Map<AuditedRule, Audited> | undefined
  /** What the rule `signed` has accepted: it uses nonces up. */
  signedBy: object | undefined
  /** The webhook that the rule `receive` has accepted. */
  received: Verified | undefined
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
        audited: undefined,
        signedBy: undefined,
        received: undefined,
        call: undefined,
      }),
    of: (x) => (x as Known)[STATE],
  }
}
