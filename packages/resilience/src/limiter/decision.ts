import type { CompiledQuota } from './quota.ts'
import type { QuotaSpec, StoreAnswer } from './store.ts'

/** Where a decision came from: the store, a denial that is still true, or what `onStoreFailure` says. */
export type Source = 'store' | 'memo' | 'local' | 'allow' | 'deny'

/** How one quota stands. */
export interface QuotaState {
  readonly name: string
  readonly limit: number
  /** Of a calendar the length of its period. */
  readonly windowMs: number
  /** Units that fit now. */
  readonly remaining: number
  /** Ms until nothing is counted any more. */
  readonly resetMs: number
}

/** Whether this subject may do this now. */
export interface Decision {
  readonly allowed: boolean
  /** Ms until the same could be allowed; 0: it is, Infinity: it can never fit. */
  readonly retryAfter: number
  readonly source: Source
  /** It speaks of the truth that all processes share: only then tell it to others. */
  readonly exact: boolean
  /** The quota that decides: of those that refuse, else of all, the one with the least left in proportion. */
  readonly binding: string
  readonly quotas: readonly QuotaState[]
}

/** What a store's answer means for a take or peek of `cost` units. */
export function decisionOf(
  quotas: readonly CompiledQuota[],
  specs: readonly QuotaSpec[],
  answer: StoreAnswer,
  source: Source,
): Decision {
  const states = specs.map((spec, i) => ({
    name: quotas[i]!.name,
    limit: spec.limit,
    windowMs: windowOf(spec, answer.nowMs),
    remaining: answer.quotas[i]!.remaining,
    resetMs: answer.quotas[i]!.resetMs,
  }))
  const waits = answer.quotas.map(({ retryAfterMs }) => retryAfterMs)
  const retryAfter = Math.max(...waits)
  const deciding = states.map((_, i) => i).filter((i) => retryAfter === 0 || waits[i]! > 0)
  const left = (i: number): number => states[i]!.remaining / capacityOf(specs[i]!)
  const binding = deciding.reduce((least, i) => (left(i) < left(least) ? i : least))
  return {
    allowed: retryAfter === 0,
    retryAfter,
    source,
    exact: source === 'store',
    binding: states[binding]!.name,
    quotas: states,
  }
}

/** What an answer is without a store: all free, or nothing for `retryAfter` ms. */
export function blankDecision(
  quotas: readonly CompiledQuota[],
  specs: readonly QuotaSpec[],
  wallMs: number,
  retryAfter: number,
): Decision {
  const allowed = retryAfter === 0
  return {
    allowed,
    retryAfter,
    source: allowed ? 'allow' : 'deny',
    exact: false,
    binding: quotas[0]!.name,
    quotas: specs.map((spec, i) => ({
      name: quotas[i]!.name,
      limit: spec.limit,
      windowMs: windowOf(spec, wallMs),
      remaining: allowed ? capacityOf(spec) : 0,
      resetMs: retryAfter,
    })),
  }
}

function capacityOf(spec: QuotaSpec): number {
  return spec.algorithm === 'gcra' ? spec.burst : spec.limit
}

function windowOf(spec: QuotaSpec, wallMs: number): number {
  if (spec.algorithm !== 'calendar') return spec.windowMs
  const { bounds } = spec
  const end = bounds.findIndex((boundMs) => wallMs < boundMs)
  return end < 1 ? bounds[2] - bounds[1] : bounds[end]! - bounds[end - 1]!
}
