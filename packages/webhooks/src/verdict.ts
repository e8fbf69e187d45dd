import type { SendOutcome } from './delivery.ts'
import type { LaneSignal } from './lane.ts'
import type { Settlement } from './store.ts'

/** What an attempt came to, as far as it decides anything. */
export interface Ended {
  readonly outcome: SendOutcome
  readonly status: number | null
  /** What the receiver asked for. */
  readonly retryAfterMs: number | null
  /** It took less than `slowAfter`. */
  readonly fast: boolean
}

/** How an endpoint is tried again: pauses in ms, the first attempt's too. */
export interface RetryRules {
  readonly scheduleMs: readonly number[]
  /** The most that chance adds, as a part of a pause. */
  readonly jitter: number
}

/** What becomes of a delivery and its lane. */
export type Verdict = Pick<Settlement, 'end' | 'signal'>

/** The receiver is there and asks for less. */
const SLOW_DOWN = new Set([429, 502, 503, 504])
const GONE = 410
/** Nobody is obeyed for longer. */
const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1_000
/** Of a lane whose receiver does not say how long: not the hours of a late step. */
const MAX_UNASKED_BLOCK_MS = 30_000

/**
 * Decides what an attempt means; `spent` counts it, `random` is from 0 to 1.
 * Section 3 of the design has the table.
 */
export function verdictOf(ended: Ended, retry: RetryRules, spent: number, random: number): Verdict {
  const { outcome, status, fast } = ended
  if (outcome === 'success') return { end: { kind: 'succeeded' }, signal: { kind: 'success', fast } }
  if (outcome === 'refused' || outcome === 'proxy') {
    return { end: { kind: 'dead', reason: 'refused' }, signal: { kind: 'failure' } }
  }
  if (status === GONE && outcome !== 'timeout')
    return { end: { kind: 'dead', reason: 'gone' }, signal: { kind: 'gone' } }

  const askedMs = Math.min(ended.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS)
  const stepMs = retry.scheduleMs[spent]
  const pauseMs = stepMs === undefined ? undefined : Math.ceil(stepMs * (1 + retry.jitter * random))
  const end: Verdict['end'] =
    pauseMs === undefined
      ? { kind: 'dead', reason: 'exhausted' }
      : { kind: 'retry', afterMs: Math.max(pauseMs, askedMs) }
  return { end, signal: signalOf(ended, askedMs, pauseMs ?? 0) }
}

function signalOf({ outcome, status }: Ended, askedMs: number, pauseMs: number): LaneSignal {
  if (outcome === 'timeout') return { kind: 'timeout' }
  if (outcome !== 'status' || !SLOW_DOWN.has(status ?? 0)) return { kind: 'failure' }
  return { kind: 'slow-down', blockMs: askedMs > 0 ? askedMs : Math.min(pauseMs, MAX_UNASKED_BLOCK_MS) }
}
