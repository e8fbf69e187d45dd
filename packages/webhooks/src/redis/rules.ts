import type { LaneRules } from '../lane.ts'

/** Of a rule that is not there. */
const NONE = -1

/** An endpoint's are the same object for all its attempts. */
const packed = new WeakMap<LaneRules, string>()

/** Rules as the scripts read them: eight numbers. */
export function packRules(rules: LaneRules): string {
  let text = packed.get(rules)
  if (text === undefined) packed.set(rules, (text = textOf(rules)))
  return text
}

function textOf({ concurrency, rate, leaseMs, breaker, disableAfterMs }: LaneRules): string {
  return [
    concurrency,
    rate?.limit ?? NONE,
    rate?.perMs ?? NONE,
    leaseMs,
    breaker?.failures ?? NONE,
    breaker?.cooldownMs ?? NONE,
    breaker?.maxCooldownMs ?? NONE,
    disableAfterMs ?? NONE,
  ].join(' ')
}

/** The other way: of the texts of eight numbers. */
export function rulesOf(texts: readonly string[]): LaneRules {
  const [concurrency, limit, perMs, leaseMs, failures, cooldownMs, maxCooldownMs, disableAfterMs] = texts.map(
    Number,
  ) as [number, number, number, number, number, number, number, number]
  return {
    concurrency,
    rate: limit === NONE ? null : { limit, perMs },
    leaseMs,
    breaker: failures === NONE ? null : { failures, cooldownMs, maxCooldownMs },
    disableAfterMs: disableAfterMs === NONE ? null : disableAfterMs,
  }
}
