import type { Decision } from './decision.ts'
import type { QuotaSpec } from './store.ts'

/** What was refused and will still be: asking again would change nothing. */
export interface Denials {
  readonly size: number
  /** The refusal that still holds, with what is left of its times. */
  find(subject: string, specs: readonly QuotaSpec[], cost: number): Decision | undefined
  /** `askedMs`: when it was asked, by the monotonic clock. */
  note(subject: string, specs: readonly QuotaSpec[], cost: number, decision: Decision, askedMs: number): void
  forget(subject: string): void
}

interface Denial {
  readonly specs: readonly QuotaSpec[]
  readonly cost: number
  readonly decision: Decision
  readonly askedMs: number
}

/** More subjects than these are refused by the store again. */
const MAX_DENIALS = 10_000
/** A reset or a refund by another process is seen after so long. */
const HELD_MS = 60_000

export function createDenials(nowMs: () => number): Denials {
  const denials = new Map<string, Denial>()
  /** When subjects were last forgotten: what was asked before is not remembered any more when it comes. */
  const forgotten = new Map<string, number>()

  return {
    get size() {
      return denials.size
    },
    find(subject, specs, cost) {
      const denial = denials.get(subject)
      if (denial === undefined) return undefined
      const { decision, askedMs } = denial
      const passedMs = nowMs() - askedMs
      if (passedMs >= Math.min(decision.retryAfter, HELD_MS)) {
        denials.delete(subject)
        return undefined
      }
      if (cost !== denial.cost || !specs.every((spec, i) => isSameLimit(spec, denial.specs[i]!))) return undefined
      return {
        ...decision,
        source: 'memo',
        retryAfter: Math.ceil(decision.retryAfter - passedMs),
        quotas: decision.quotas.map((quota) => ({
          ...quota,
          resetMs: Math.max(0, Math.ceil(quota.resetMs - passedMs)),
        })),
      }
    },
    note(subject, specs, cost, decision, askedMs) {
      if (decision.retryAfter === Infinity || askedMs <= (forgotten.get(subject) ?? -1)) return
      denials.delete(subject)
      denials.set(subject, { specs, cost, decision, askedMs })
      if (denials.size > MAX_DENIALS) denials.delete(denials.keys().next().value!)
    },
    forget(subject) {
      denials.delete(subject)
      forgotten.delete(subject)
      forgotten.set(subject, nowMs())
      if (forgotten.size > MAX_DENIALS) forgotten.delete(forgotten.keys().next().value!)
    },
  }
}

/** Another limit is another truth. */
function isSameLimit(a: QuotaSpec, b: QuotaSpec): boolean {
  return a.limit === b.limit && (a.algorithm !== 'gcra' || b.algorithm !== 'gcra' || a.burst === b.burst)
}
