import { createMetrics, type MetricFamily } from '@keelson/kernel'
import type { Decision } from './decision.ts'

/** The numbers of one limiter. */
export interface LimiterMetrics {
  decided(decision: Decision): void
  storeFailed(): void
  families(): MetricFamily[]
}

export function createLimiterMetrics(limiter: string): LimiterMetrics {
  const metrics = createMetrics('resilience')
  const decisions = metrics.counter('limiter_decisions', 'Takes by what they were answered, and by whom.', [
    'limiter',
    'allowed',
    'source',
  ])
  const failures = metrics.counter('limiter_store_failures', 'Calls that the store did not serve.', ['limiter'])
  return {
    decided: ({ allowed, source }) => decisions.inc({ limiter, allowed: allowed ? 'true' : 'false', source }),
    storeFailed: () => failures.inc({ limiter }),
    families: metrics.families,
  }
}
