import { systemClock, type Clock } from '@keelson/kernel'
import { verdictOfError, verdictOfStatus, type Verdict } from '../pipeline/verdict.ts'
import { parseHttpDate, parseRetryAfter } from '@keelson/kernel/retry-after'

/** How HTTP answers are judged: the members of `classify`. */
export interface Verdicts {
  /**
   * 429 and 503 are `throttle` with their Retry-After; 501, 505 and other 4xx `ignore`; other 5xx `retry`; all else `ok`.
   * With `x-retry: no` what would be retried is `fatal`.
   */
  value(response: Response): Verdict
  /**
   * An abort, and a request that cannot be sent, are `ignore`; a certificate that is not accepted is `fatal`; other errors
   * of the network are `retry`. What is no error of `fetch` is judged as every pipeline does.
   */
  error(error: unknown): Verdict
}

/** The judge of `resilientFetch`, for pipelines of one's own. */
export const verdicts: Verdicts = verdictsAt(systemClock)

export function verdictsAt(clock: Pick<Clock, 'now'>): Verdicts {
  return {
    value({ status, headers }) {
      const verdict = verdictOfStatus(status)
      if (verdict !== 'throttle' && verdict !== 'retry') return verdict
      const retryAfter = verdict === 'throttle' ? retryAfterOf(headers, clock.now()) : undefined
      const mayRepeat = headers.get('x-retry')?.toLowerCase() !== 'no'
      return { class: mayRepeat ? verdict : 'fatal', ...(retryAfter === undefined ? {} : { retryAfter }) }
    },
    error: (error) =>
      error instanceof TypeError ? verdictOfTypeError(error) : isAbort(error) ? 'ignore' : verdictOfError(error),
  }
}

/** A date counts from the server's own, so that clocks which differ do no harm. */
function retryAfterOf(headers: Headers, nowMs: number): number | undefined {
  const sentMs = parseHttpDate(headers.get('date') ?? '', nowMs)
  return parseRetryAfter(headers.get('retry-after'), sentMs ?? nowMs)
}

/** Found before anything was sent: a wrong URL, header or option, a dispatcher that is closed. */
const NOT_SENT = /^(ERR_INVALID_|UND_ERR_(INVALID_ARG|INVALID_RETURN|NOT_SUPPORTED|DESTROYED|CLOSED|ABORTED)$)/
/** OpenSSL's words for a certificate that is not trusted, and Node's for one of another host. */
const CERTIFICATE = /^(CERT_|ERR_TLS_CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_CA)/

/** `fetch` answers a TypeError for everything; the cause of one from the network has a code. */
function verdictOfTypeError(error: TypeError): Verdict {
  const code = codeOf(error)
  if (code === undefined || NOT_SENT.test(code)) return 'ignore'
  return CERTIFICATE.test(code) ? 'fatal' : 'retry'
}

function codeOf(error: unknown): string | undefined {
  for (let each = error, depth = 0; each instanceof Error && depth < 5; each = each.cause, depth++) {
    const { code } = each as { code?: unknown }
    if (typeof code === 'string') return code
  }
  return undefined
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}
