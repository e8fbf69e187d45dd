import type { Decision, QuotaState } from '@keelson/resilience/limiter'
import type { Headers } from '../exchange.ts'

/** What a rule has taken. */
export interface Taken {
  /** In front of the names of its quotas, to tell them from those of other limiters. */
  readonly prefix: string
  readonly decision: Decision
}

/**
 * The RateLimit fields of draft-ietf-httpapi-ratelimit-headers, and the older ones that many clients read, which know one
 * quota only: the one that binds, which comes first in all of them. What is not exact is not told.
 */
export function rateHeaders(taken: readonly Taken[], nowMs: number): Headers {
  const decisions = taken.filter(({ decision }) => decision.exact)
  if (decisions.length === 0) return []
  const binding = decisions.map(bindingOf).reduce((least, one) => (isNearer(one, least) ? one : least))
  const others = decisions.flatMap(quotasOf).filter(({ name }) => name !== binding.name)
  const quotas = [binding, ...others]
  const list = (show: (quota: QuotaState) => string): string => quotas.map(show).join(', ')
  return [
    ['RateLimit-Policy', list(({ name, limit, windowMs }) => `"${name}";q=${limit};w=${secondsOf(windowMs)}`)],
    ['RateLimit', list(({ name, remaining, resetMs }) => `"${name}";r=${remaining};t=${secondsOf(resetMs)}`)],
    ['X-RateLimit-Limit', String(binding.limit)],
    ['X-RateLimit-Remaining', String(binding.remaining)],
    ['X-RateLimit-Reset', String(secondsOf(nowMs + binding.resetMs))],
  ]
}

interface Binding extends QuotaState {
  readonly allowed: boolean
}

function bindingOf(one: Taken): Binding {
  const { allowed, binding } = one.decision
  const at = one.decision.quotas.findIndex(({ name }) => name === binding)
  return { ...quotasOf(one)[at]!, allowed }
}

function quotasOf({ prefix, decision }: Taken): QuotaState[] {
  return decision.quotas.map((quota) => ({ ...quota, name: prefix + quota.name }))
}

/** A refusal binds; else what has the least left in proportion. */
function isNearer(a: Binding, b: Binding): boolean {
  return a.allowed === b.allowed ? a.remaining / a.limit < b.remaining / b.limit : !a.allowed
}

function secondsOf(ms: number): number {
  return Math.ceil(ms / 1_000)
}
