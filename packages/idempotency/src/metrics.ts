import { createMetrics, type Counter, type Gauge, type Histogram, type MetricFamily } from '@keelson/kernel'
import type { Outcome } from './outcome.ts'

/** What a call came to, as a label. */
export type CallOutcome =
  | 'executed'
  | 'replayed'
  | 'waited'
  | 'in_use'
  | 'reused'
  | 'unknown'
  | 'not_retained'
  | 'lease_lost'
  | 'takeover'
  | 'store_unavailable'
  | 'unprotected'
  | 'not_stored'
  | 'too_many_waiters'
  | 'threw'

/** The numbers of one instance. */
export interface IdempotencyMetrics {
  readonly calls: Counter<'mode' | 'outcome'>
  readonly storeSeconds: Histogram<'call'>
  readonly inflight: Gauge
  readonly waiters: Gauge
  readonly swept: Counter
  readonly guardFailures: Counter
  readonly fingerprintSkipped: Counter
  families(): MetricFamily[]
}

export function createIdempotencyMetrics(waiting: () => number): IdempotencyMetrics {
  const metrics = createMetrics('idempotency')
  const made = {
    calls: metrics.counter('calls', 'Calls by mode and by what came of them.', ['mode', 'outcome']),
    storeSeconds: metrics.histogram('store', 'Time of store calls.', { unit: 'seconds', labels: ['call'] }),
    inflight: metrics.gauge('inflight', 'Works that run in this process.'),
    waiters: metrics.gauge('waiters', 'Calls that wait for another one in this process.'),
    swept: metrics.counter('swept', 'Expired records that the sweeper removed.'),
    guardFailures: metrics.counter('guard_failures', 'Replay guards that rejected or took too long.'),
    fingerprintSkipped: metrics.counter(
      'fingerprint_skipped',
      'Duplicates whose fingerprint could not be compared: another algorithm.',
    ),
  }
  made.waiters.read(waiting)
  return { ...made, families: metrics.families }
}

const REFUSALS = {
  KEY_REUSED: 'reused',
  KEY_IN_USE: 'in_use',
  OUTCOME_UNKNOWN: 'unknown',
  ANSWER_NOT_RETAINED: 'not_retained',
  LEASE_LOST: 'lease_lost',
  TOO_MANY_WAITERS: 'too_many_waiters',
  STORE_UNAVAILABLE: 'store_unavailable',
} as const

/** One label for an outcome: what most needs a look wins. */
export function outcomeLabel(outcome: Outcome<unknown>): CallOutcome {
  if (!outcome.ok) return REFUSALS[outcome.code]
  if (outcome.kind === 'unprotected') return 'unprotected'
  if (outcome.kind === 'replayed') return outcome.waited ? 'waited' : 'replayed'
  if (!outcome.stored) return 'not_stored'
  return outcome.attempt > 1 ? 'takeover' : 'executed'
}
