import { HEALTHY, laneCapacity, redrivenCapacity, type LaneHealth, type LaneRules } from '../lane.ts'

/** A lane with what settling and changing its endpoint read and write. */
export interface KeptLane {
  readonly lane: number
  readonly handler: string | null
  readonly state: 'active' | 'paused' | 'disabled'
  readonly disabledReason: string | null
  readonly revision: number
  readonly scopePaused: boolean
  readonly heldSinceMs: number | null
  readonly oldestMs: number | null
  readonly rules: LaneRules
  readonly health: LaneHealth
}

/** The columns of a lane that are read. */
export interface LaneRow {
  readonly lane: number
  readonly class: string
  readonly state: KeptLane['state']
  readonly disabled_reason: string | null
  readonly revision: number
  readonly scope_paused: boolean
  readonly held_since_ms: number | null
  readonly oldest_ms: number | null
  readonly in_flight: number
  readonly redriven: number
  readonly rate_used_ms: number
  readonly width: number
  readonly suspect: boolean
  readonly rules: string
  readonly health: string
}

export function readLane(row: LaneRow): KeptLane {
  return {
    lane: row.lane,
    handler: row.class.startsWith('fn:') ? row.class : null,
    state: row.state,
    disabledReason: row.disabled_reason,
    revision: row.revision,
    scopePaused: row.scope_paused,
    heldSinceMs: row.held_since_ms,
    oldestMs: row.oldest_ms,
    rules: JSON.parse(row.rules) as LaneRules,
    health: readHealth(row),
  }
}

/** What changes with each claim or success is in columns, the rest in one text. */
function readHealth(row: LaneRow): LaneHealth {
  const { in_flight: inFlight, redriven, rate_used_ms: rateUsedMs, width: limit, suspect } = row
  return { ...(JSON.parse(row.health) as LaneHealth), inFlight, redriven, rateUsedMs, limit, suspect }
}

/** What of a lane's health is in one text: how it has failed. */
function failuresText(health: LaneHealth): string {
  const { blockedUntilMs, blockedBy, failures, openUntilMs, cooldownMs, failingSinceMs, noticed } = health
  return JSON.stringify({ blockedUntilMs, blockedBy, failures, openUntilMs, cooldownMs, failingSinceMs, noticed })
}

/** That of a lane without history, and after each success. */
export const NO_FAILURES: string = failuresText(HEALTHY)

/** The columns of a lane as they are written: with them SQL can decide what may be claimed. */
export function laneColumns({ handler, rules, health, ...lane }: KeptLane): Record<string, unknown> {
  const until = Math.max(health.blockedUntilMs ?? 0, health.openUntilMs ?? 0)
  return {
    lane: lane.lane,
    class: handler ?? (health.suspect ? 'suspect' : ''),
    suspect: health.suspect,
    state: lane.state,
    disabled_reason: lane.disabledReason,
    revision: lane.revision,
    held_since_ms: lane.heldSinceMs,
    oldest_ms: lane.oldestMs,
    in_flight: health.inFlight,
    redriven: health.redriven,
    width: health.limit,
    capacity: laneCapacity(health, rules),
    again_capacity: redrivenCapacity(health, rules),
    until_ms: until === 0 ? null : until,
    rate_used_ms: health.rateUsedMs,
    ...ruleColumns(rules),
    rules: JSON.stringify(rules),
    health: failuresText(health),
  }
}

/** The rules of a lane that SQL knows. */
export function ruleColumns({ concurrency, rate, leaseMs }: LaneRules): Record<string, number | null> {
  return {
    concurrency,
    lease_ms: leaseMs,
    rate_step_ms: rate === null ? null : rate.perMs / rate.limit,
    rate_burst_ms: rate === null ? null : (rate.perMs * (rate.limit - 1)) / rate.limit,
  }
}

/** As the endpoint's state changes: since when it has been held. */
export function withState(lane: KeptLane, state: KeptLane['state'], nowMs: number): KeptLane {
  const heldSinceMs = state === 'active' ? (lane.scopePaused ? lane.heldSinceMs : null) : (lane.heldSinceMs ?? nowMs)
  return { ...lane, state, heldSinceMs, oldestMs: heldSinceMs === null ? null : (lane.oldestMs ?? heldSinceMs) }
}
