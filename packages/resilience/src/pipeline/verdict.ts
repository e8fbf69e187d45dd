import { isKeelsonError } from '@keelson/kernel'

/**
 * What one result says, once for retry, breaker and limit.
 *
 * - `ok`: the upstream works.
 * - `ignore`: nothing about the upstream, and not worth a retry: the caller's own fault or will.
 * - `retry`: a failure that another attempt may not meet.
 * - `throttle`: the upstream asks for less: a failure, retried after its time.
 * - `fatal`: a failure that another attempt meets too.
 */
export type Class = 'ok' | 'ignore' | 'retry' | 'throttle' | 'fatal'

/** A class, and how long the upstream asks to wait, in ms. */
export type Verdict = Class | { readonly class: Class; readonly retryAfter?: number }

export const CLASSES: readonly Class[] = ['ok', 'ignore', 'retry', 'throttle', 'fatal']

/** How an HTTP status is judged; also of errors that carry one. 501 and 505 are about the request, as 4xx are. */
export function verdictOfStatus(status: number): Class {
  if (status === 429 || status === 503) return 'throttle'
  if (status < 400) return 'ok'
  return status < 500 || status === 501 || status === 505 ? 'ignore' : 'retry'
}

/**
 * The judge of errors unless `classify.error` is given: Keelson's errors and others with `retryable: false` are ignored,
 * an HTTP status counts where an error carries one (`status`, `statusCode`, also of its `response`), all else is worth a
 * retry.
 */
export function verdictOfError(error: unknown): Verdict {
  if (typeof error !== 'object' || error === null) return 'retry'
  if (isRefusal(error)) return 'ignore'
  const { retryable, retryAfter } = error as { retryable?: unknown; retryAfter?: unknown }
  if (retryable === false) return 'ignore'
  const status = statusOf(error)
  const verdict = status === undefined ? 'retry' : verdictOfStatus(status)
  if (verdict === 'throttle' && typeof retryAfter === 'number') return { class: verdict, retryAfter }
  return verdict
}

/** What Keelson's own pipelines and limiters refuse: the upstream was not asked. */
const REFUSALS = ['BREAKER_OPEN', 'SHED', 'THROTTLED', 'RATE_LIMITED', 'CLOSED']

function isRefusal(error: object): boolean {
  return isKeelsonError(error) && REFUSALS.includes(error.code)
}

function statusOf(error: object): number | undefined {
  const { status, statusCode, response } = error as { status?: unknown; statusCode?: unknown; response?: unknown }
  for (const found of [status, statusCode]) {
    if (typeof found === 'number' && found >= 400 && found < 600) return found
  }
  return typeof response === 'object' && response !== null && response !== error
    ? statusOf({
        status: (response as { status?: unknown }).status,
        statusCode: (response as { statusCode?: unknown }).statusCode,
      })
    : undefined
}
