import type { Decision } from '@keelson/resilience/limiter'
import type { StoredResponse } from '@keelson/kernel'
import type { Exchange } from '../exchange.ts'
import type { CheckedRateRule } from '../policy.ts'
import { HttpProblem } from '../problem.ts'
import type { RequestState } from '../request-state.ts'
import type { RouteParts } from '../route.ts'
import { rateHeaders } from './rate-headers.ts'
import { subjectOf } from './subject-of.ts'

/** The rule `rateLimit` of one policy. What they answer ends the request. */
export interface Limiting {
  /** By address, before authentication. */
  early(x: Exchange, state: RequestState): Promise<StoredResponse | undefined>
  /** All others, when the principal is known. */
  late(x: Exchange, state: RequestState): Promise<StoredResponse | undefined>
}

export function limiting(
  rules: readonly CheckedRateRule[],
  parts: Pick<RouteParts, 'options' | 'metrics' | 'refuse'>,
): Limiting {
  const { options: o, metrics, refuse } = parts
  const byAddress = rules.filter(({ by }) => by === 'address')
  const others = rules.filter(({ by }) => by !== 'address')

  /** In their order; the first that refuses is the answer. */
  async function take(
    x: Exchange,
    state: RequestState,
    asked: readonly CheckedRateRule[],
  ): Promise<StoredResponse | undefined> {
    const limits = (state.limits ??= told(x))
    for (const rule of asked) {
      // A policy may stand at two places of a request, as its early part and as a whole.
      if (limits.has(rule.given)) continue
      const decision = await rule.limiter.take(subjectOf(x, rule, parts))
      if (decision.allowed) {
        limits.set(rule.given, { prefix: rule.prefix, decision })
        continue
      }
      await giveBack(limits)
      limits.set(rule.given, { prefix: rule.prefix, decision })
      if (decision.source !== 'deny') metrics.limited.inc({ limiter: rule.name })
      return refuse(problemOf(rule, decision), x)
    }
    return undefined
  }

  /** What this policy has taken for the request: it is not served. */
  async function giveBack(limits: RequestState['limits'] & object): Promise<void> {
    const back = rules.map(async ({ given, limiter }) => {
      const taken = limits.get(given)
      limits.delete(given)
      // What is lost admits less, never more.
      if (taken !== undefined) await limiter.refund(taken.decision).catch(() => {})
    })
    await Promise.all(back)
  }

  /** Said when the head leaves: whatever is answered, and by whomever, carries how it stands now. */
  function told(x: Exchange): RequestState['limits'] & object {
    const limits: RequestState['limits'] & object = new Map()
    x.onHead(() => {
      for (const [name, value] of rateHeaders([...limits.values()], o.clock.now())) x.setHeader(name, value)
    })
    return limits
  }

  return {
    early: (x, state) => take(x, state, byAddress),
    late: (x, state) => take(x, state, others),
  }
}

/** A limiter that may not guess while its store is away has refused nobody: that is an outage. */
function problemOf({ cost, prefix }: CheckedRateRule, { source, retryAfter, quotas, binding }: Decision): HttpProblem {
  if (source === 'deny') return new HttpProblem(503, 'store-unavailable', { retryAfter })
  const violated = quotas.filter(({ name, remaining }) => name === binding || remaining < cost)
  const extra = { 'violated-policies': violated.map(({ name }) => prefix + name) }
  if (retryAfter !== Infinity) return new HttpProblem(429, 'rate-limited', { retryAfter, extra })
  const detail = 'It costs more than there can ever be.'
  return new HttpProblem(429, 'rate-limited', { detail, retryable: false, extra })
}
