import { ResilienceError, type ResilienceErrorCode } from '../error.ts'
import type { Failure } from './outcome.ts'

/** How a call can be refused before its work begins. */
export type RefusalKind = 'open' | 'shed' | 'throttled' | 'rate' | 'closed'

const ERRORS: Record<RefusalKind, readonly [code: ResilienceErrorCode, why: string]> = {
  open: ['BREAKER_OPEN', 'the breaker is open'],
  shed: ['SHED', 'as many calls are under way as may be'],
  throttled: ['THROTTLED', 'the upstream refuses most calls'],
  rate: ['RATE_LIMITED', 'the rate of calls is used up'],
  closed: ['CLOSED', 'the pipeline is closed'],
}

/** Without stack frames: they cost five times the rest, when there is the least time, and all refusals have the same. */
export function refusalError(pipeline: string, kind: RefusalKind, retryAfter: number | undefined): ResilienceError {
  const [code, why] = ERRORS[kind]
  const { stackTraceLimit } = Error
  setStackTraceLimit(0)
  const error = new ResilienceError(
    code,
    `pipeline "${pipeline}": ${why}`,
    retryAfter === undefined ? {} : { retryAfter },
  )
  setStackTraceLimit(stackTraceLimit)
  return error
}

function setStackTraceLimit(limit: number): void {
  try {
    Error.stackTraceLimit = limit
  } catch {
    // Somebody has frozen the intrinsics: then frames are captured.
  }
}

/**
 * A refusal that many callers share, so it costs nothing to give: it is frozen, what depends on the moment is computed
 * when it is read, and so is the error.
 */
export function sharedRefusal(
  pipeline: string,
  kind: RefusalKind,
  retryAfter: () => number | undefined,
): Promise<Failure> {
  const failure: Failure = Object.freeze({
    ok: false,
    kind,
    attempts: 0,
    get retryAfter() {
      return retryAfter()
    },
    get error() {
      return refusalError(pipeline, kind, retryAfter())
    },
  })
  return Promise.resolve(failure)
}
