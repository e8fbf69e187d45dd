import { silentLogger } from '@keelson/kernel'
import type { Counters } from './counters.ts'
import type { Exchange } from './exchange.ts'
import type { CheckedOptions } from './options.ts'
import { principalOf } from './owner.ts'
import type { RequestState } from './request-state.ts'

/** What the line at the end of a request says; undefined members are unknown. */
export interface RequestLine {
  readonly method: string
  /** The template. */
  readonly route: string
  /** As the client asked, without the query. */
  readonly path: string
  readonly status: number
  readonly ms: number
  /** On the wire, header block included. */
  readonly bytes: number
  readonly correlationId: string | undefined
  /** Its id. */
  readonly principal: string | undefined
  readonly scope: string | undefined
  readonly replayed: boolean
  /** What the rule `cached` did: hit, fresh, miss, joined, stale or bypass. */
  readonly cache: string | undefined
  /** The client left before the last byte. */
  readonly aborted: boolean
  readonly counters: Counters
}

/** How a request ended, as the adapter saw it. */
type End = Parameters<Parameters<Exchange['onEnd']>[0]>[0]

/** One line when a request begins, one when it is over. */
export interface RequestLog {
  begun(x: Exchange, state: RequestState): void
  ended(x: Exchange, state: RequestState, end: End, ms: number): void
}

/** Undefined when no lines are wanted. */
export function createRequestLog(o: CheckedOptions): RequestLog | undefined {
  const { logger, requestLog: levels } = o
  if (levels === undefined || logger === silentLogger) return undefined
  return {
    begun(x, { context }) {
      const { method, path } = x
      logger[levels.start]({ method, path, correlationId: context.correlationId }, 'request began')
    },
    ended(x, state, { status, bytes, aborted }, ms) {
      const { method, route, path } = x
      const { context, known, isReplayed, cache, counters } = state
      const line: RequestLine = {
        method,
        route,
        path,
        status,
        ms,
        bytes,
        correlationId: context.correlationId,
        principal: known === undefined ? principalIdOf(x, o) : known.principal?.id,
        scope: known?.tenant,
        replayed: isReplayed,
        cache,
        aborted,
        counters,
      }
      logger[levels.end](line, 'request ended')
    },
  }
}

/** For routes without a policy, which nobody asked yet. A line must not fail for it. */
function principalIdOf(x: Exchange, o: CheckedOptions): string | undefined {
  try {
    return principalOf(x, o)?.id
  } catch {
    return undefined
  }
}
