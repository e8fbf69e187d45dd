/** What an endpoint allows; durations in ms. */
export interface LaneRules {
  /** In flight at most. */
  readonly concurrency: number
  /** A burst of `limit` claims, then one each `perMs / limit`, as a GCRA has it; null without. */
  readonly rate: { readonly limit: number; readonly perMs: number } | null
  /** Of a claim: its timeout and a margin. */
  readonly leaseMs: number
  /** Opens after so many failures in a row; the pause doubles up to `maxCooldownMs`. Null without. */
  readonly breaker: { readonly failures: number; readonly cooldownMs: number; readonly maxCooldownMs: number } | null
  /** Disabled when all attempts of this time have failed; null never. */
  readonly disableAfterMs: number | null
}

/** How an endpoint has answered. */
export interface LaneHealth {
  /** In flight over all processes. */
  readonly inFlight: number
  /** Of them, redriven. */
  readonly redriven: number
  /** May be in flight now: from 1 up to `concurrency`. */
  readonly limit: number
  /** An attempt took long: its lane has a limit of 1 until one is fast again. */
  readonly suspect: boolean
  /** The receiver asked for a pause, or our own key is missing. */
  readonly blockedUntilMs: number | null
  /** Why it is blocked: 'key' when the endpoint's secret could not be decrypted. */
  readonly blockedBy: 'receiver' | 'key' | null
  /** Failures in a row. */
  readonly failures: number
  /** Since the breaker opened; null while it is closed. Past it, one probe goes. */
  readonly openUntilMs: number | null
  /** The breaker's last pause. */
  readonly cooldownMs: number
  /** The first failure since the last success. */
  readonly failingSinceMs: number | null
  /** The last notice of `failing`: 0, 50, 70 or 90 %. */
  readonly noticed: number
  /** When the rate is used up to, as a GCRA's theoretical arrival time. */
  readonly rateUsedMs: number
}

/** What an attempt tells of its lane. */
export type LaneSignal =
  | { readonly kind: 'success'; readonly fast: boolean }
  | { readonly kind: 'failure' | 'timeout' | 'gone' }
  | { readonly kind: 'slow-down'; readonly blockMs: number }
  /** Nothing was tried. */
  | { readonly kind: 'none' }
  | { readonly kind: 'no-key'; readonly blockMs: number }

/** What somebody should hear of a lane. `reason` is the endpoint's `disabledReason`. */
export type LaneNotice =
  | { readonly kind: 'disabled'; readonly reason: 'gone' | 'failing' }
  | { readonly kind: 'failing'; readonly percent: 50 | 70 | 90 }
  | { readonly kind: 'recovered' }

/** The health of a lane without history. */
export const HEALTHY: LaneHealth = {
  inFlight: 0,
  redriven: 0,
  limit: 1,
  suspect: false,
  blockedUntilMs: null,
  blockedBy: null,
  failures: 0,
  openUntilMs: null,
  cooldownMs: 0,
  failingSinceMs: null,
  noticed: 0,
  rateUsedMs: 0,
}

/** Forgets how a lane has answered, not what is in flight. */
export function healed(lane: LaneHealth): LaneHealth {
  const { inFlight, redriven, rateUsedMs } = lane
  return { ...HEALTHY, inFlight, redriven, rateUsedMs }
}

/** How many may be in flight: one while the breaker is open, which its probe is. */
export function laneCapacity({ openUntilMs, limit }: LaneHealth, { concurrency }: LaneRules): number {
  return openUntilMs === null ? Math.min(limit, concurrency) : 1
}

/** How many of them may be redriven. */
export function redrivenCapacity(lane: LaneHealth, rules: LaneRules): number {
  return Math.max(1, Math.floor(laneCapacity(lane, rules) / 4))
}

/** When a lane with room may be claimed next, whatever is due: its receiver, breaker and rate allow it from then on. */
export function laneOpensMs(
  { blockedUntilMs, openUntilMs, rateUsedMs }: LaneHealth,
  { rate }: Pick<LaneRules, 'rate'>,
): number {
  // GCRA: a burst of `limit`, then one each interval.
  const rateMs = rate === null ? 0 : rateUsedMs - (rate.perMs * (rate.limit - 1)) / rate.limit
  return Math.max(blockedUntilMs ?? 0, openUntilMs ?? 0, rateMs)
}

/** A lane of which one delivery was claimed. */
export function afterClaim(lane: LaneHealth, { rate }: LaneRules, redriven: boolean, nowMs: number): LaneHealth {
  return {
    ...lane,
    inFlight: lane.inFlight + 1,
    redriven: lane.redriven + (redriven ? 1 : 0),
    rateUsedMs: rate === null ? 0 : Math.max(nowMs, lane.rateUsedMs) + rate.perMs / rate.limit,
  }
}

/** A lane of which one claim has ended without a word about its receiver. */
export function afterEnd(lane: LaneHealth, redriven: boolean): LaneHealth {
  return { ...lane, inFlight: lane.inFlight - 1, redriven: lane.redriven - (redriven ? 1 : 0) }
}

/** A lane with an attempt that takes long. */
export function afterSlow(lane: LaneHealth): LaneHealth {
  return { ...lane, suspect: true, limit: 1 }
}

/** What an attempt's end makes of its lane: room and slots are {@link afterEnd}'s. */
export function afterSignal(
  lane: LaneHealth,
  rules: LaneRules,
  signal: LaneSignal,
  nowMs: number,
): { readonly lane: LaneHealth; readonly notices: readonly LaneNotice[] } {
  switch (signal.kind) {
    case 'none':
      return { lane, notices: [] }
    case 'no-key':
      return { lane: blocked(lane, nowMs + signal.blockMs, 'key'), notices: [] }
    case 'success': {
      const limit = signal.fast ? Math.min(lane.limit + 1, rules.concurrency) : lane.limit
      const suspect = lane.suspect && !signal.fast
      const { inFlight, redriven, rateUsedMs } = lane
      const notices: LaneNotice[] = lane.openUntilMs !== null || lane.noticed > 0 ? [{ kind: 'recovered' }] : []
      return { lane: { ...HEALTHY, inFlight, redriven, rateUsedMs, limit, suspect }, notices }
    }
    case 'gone': {
      const failed = failing(lane, rules, nowMs)
      return { lane: failed.lane, notices: [{ kind: 'disabled', reason: 'gone' }] }
    }
    case 'slow-down': {
      // It answers, so its breaker stays; that it refuses all for days is a failure nevertheless.
      const failed = failing(lane, rules, nowMs)
      const limit = Math.max(1, Math.floor(lane.limit / 2))
      return { ...failed, lane: blocked({ ...failed.lane, limit }, nowMs + signal.blockMs, 'receiver') }
    }
    case 'failure':
    case 'timeout': {
      const failed = failing(lane, rules, nowMs)
      const after = tripped(failed.lane, rules, nowMs)
      return { ...failed, lane: signal.kind === 'timeout' ? afterSlow(after) : after }
    }
  }
}

/** The later of two blocks counts. */
function blocked(lane: LaneHealth, untilMs: number, by: 'receiver' | 'key'): LaneHealth {
  if (lane.blockedUntilMs !== null && lane.blockedUntilMs >= untilMs) return lane
  return { ...lane, blockedUntilMs: untilMs, blockedBy: by }
}

/** Opens the breaker, or opens it again for twice as long when its probe has failed. */
function tripped(lane: LaneHealth, { breaker }: LaneRules, nowMs: number): LaneHealth {
  const failures = lane.failures + 1
  if (breaker === null || failures < breaker.failures) return { ...lane, failures }
  // Attempts that were in flight when it opened say nothing new.
  if (lane.openUntilMs !== null && nowMs < lane.openUntilMs) return { ...lane, failures }
  const cooldownMs =
    lane.openUntilMs === null ? breaker.cooldownMs : Math.min(lane.cooldownMs * 2, breaker.maxCooldownMs)
  return { ...lane, failures, cooldownMs, openUntilMs: nowMs + cooldownMs }
}

const NOTICES = [90, 70, 50] as const

/** The clock of automatic disabling: runs from the first failure, ends with a success. */
function failing(
  lane: LaneHealth,
  { disableAfterMs }: LaneRules,
  nowMs: number,
): { readonly lane: LaneHealth; readonly notices: readonly LaneNotice[] } {
  const sinceMs = lane.failingSinceMs ?? nowMs
  const since = { ...lane, failingSinceMs: sinceMs }
  if (disableAfterMs === null) return { lane: since, notices: [] }
  const percent = ((nowMs - sinceMs) / disableAfterMs) * 100
  if (percent >= 100) return { lane: since, notices: [{ kind: 'disabled', reason: 'failing' }] }
  const reached = NOTICES.find((notice) => percent >= notice)
  if (reached === undefined || reached <= lane.noticed) return { lane: since, notices: [] }
  return { lane: { ...since, noticed: reached }, notices: [{ kind: 'failing', percent: reached }] }
}
