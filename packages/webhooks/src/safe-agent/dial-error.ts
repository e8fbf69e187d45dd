/** Where on its way a connection failed. `denied` is the egress proxy's no. */
export type DialStep = 'dns' | 'connect' | 'tls' | 'denied'

/**
 * A connection that could not be made; no answer of the allowed kind was wrong with it, so it is no URL_REFUSED. `code` is
 * that of Node where there is one (ENOTFOUND, ECONNREFUSED, CERT_HAS_EXPIRED), ETIMEDOUT when time was up, PROXY_403 and
 * the like for what the proxy answered.
 */
export class DialError extends Error {
  override readonly name = 'DialError'
  readonly step: DialStep
  readonly code: string

  constructor(step: DialStep, code: string, cause?: unknown) {
    super(`${step}: ${code}`, cause === undefined ? undefined : { cause })
    this.step = step
    this.code = code
  }
}

/** What went wrong at a step, as one error. */
export function dialFailure(step: DialStep, cause: unknown): DialError {
  if (cause instanceof DialError) return cause
  const code = (cause as { code?: unknown } | null)?.code
  return new DialError(step, typeof code === 'string' ? code : 'FAILED', cause)
}
