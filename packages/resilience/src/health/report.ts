/** One check as it went. */
export interface ReportedCheck {
  readonly ok: boolean
  /** Its failure takes the node out of traffic. */
  readonly critical: boolean
  /** How long it took; of the event loop, its lag. */
  readonly ms: number
  /** Why it failed. It may name hosts: for operators only. */
  readonly error?: string
}

/** What a probe is answered. */
export interface Report {
  /** Traffic may come: true for 'degraded' too. */
  readonly ok: boolean
  /** Degraded: a check failed that is not critical. */
  readonly status: 'ok' | 'degraded' | 'down'
  /** Why it is not 'ok', in names of checks. */
  readonly reason?: string
  readonly checks: Readonly<Record<string, ReportedCheck>>
}

/** How far a process is in its life. */
export type Phase = { readonly kind: 'starting' } | { readonly kind: 'started' } | Draining
interface Draining {
  readonly kind: 'draining'
  readonly reason: string
}

/** The report of a process that takes no traffic, whatever its checks say; undefined while it may. */
export function outOfTraffic(phase: Phase): Report | undefined {
  switch (phase.kind) {
    case 'starting':
      return { ok: false, status: 'down', reason: 'not started', checks: {} }
    case 'draining':
      return { ok: false, status: 'down', reason: `draining: ${phase.reason}`, checks: {} }
    case 'started':
      return undefined
  }
}

/** What the checks of a started process mean together. */
export function reportOf(checks: Report['checks']): Report {
  const failed = Object.entries(checks).filter(([, { ok }]) => !ok)
  if (failed.length === 0) return { ok: true, status: 'ok', checks }
  const critical = failed.filter(([, check]) => check.critical)
  const named = critical.length > 0 ? critical : failed
  const reason = `failed: ${named.map(([name]) => name).join(', ')}`
  return critical.length > 0
    ? { ok: false, status: 'down', reason, checks }
    : { ok: true, status: 'degraded', reason, checks }
}
