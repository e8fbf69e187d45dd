import { createMetrics, type Counter, type Histogram, type MetricFamily } from '@keelson/kernel'

/** The numbers of one application's webhooks. */
export interface WebhookMetrics {
  readonly events: Counter<'result'>
  readonly attempts: Counter<'outcome'>
  readonly attemptSeconds: Histogram
  readonly finals: Counter<'status' | 'reason'>
  readonly staleSettles: Counter
  readonly refused: Counter<'reason'>
  families(): MetricFamily[]
}

/** What is asked when the numbers are read. */
export interface Readings {
  pending(): number
  delivering(): number
  held(): number
  unrouted(): number
  oldestDueSeconds(): number
  endpointsDisabled(): number
  slotsFast(): number
  slotsSlow(): number
}

export function createWebhookMetrics(readings: Readings): WebhookMetrics {
  const metrics = createMetrics('webhooks')
  const made = {
    events: metrics.counter('events', 'Events by how they were published.', ['result']),
    attempts: metrics.counter('attempts', 'Attempts by what they came to.', ['outcome']),
    attemptSeconds: metrics.histogram('attempt', 'Time of attempts.', {
      unit: 'seconds',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60],
    }),
    finals: metrics.counter('deliveries_final', 'Deliveries that ended, by status and reason.', ['status', 'reason']),
    staleSettles: metrics.counter('stale_settles', 'Attempts whose lease had ended when they did.'),
    refused: metrics.counter('refused', 'Attempts refused before anything was dialled.', ['reason']),
  }
  metrics.gauge('pending', 'Open deliveries that are not under way.').read(readings.pending)
  metrics.gauge('delivering', 'Deliveries under way, on all nodes.').read(readings.delivering)
  metrics.gauge('held', 'Open deliveries of paused or disabled endpoints.').read(readings.held)
  metrics.gauge('unrouted', 'Committed events without deliveries yet.').read(readings.unrouted)
  metrics.gauge('oldest_due_seconds', 'How long the oldest due delivery has waited.').read(readings.oldestDueSeconds)
  metrics.gauge('endpoints_disabled', 'Endpoints that are disabled.').read(readings.endpointsDisabled)
  metrics.gauge('slots_fast', 'Attempts of this node that are not slow.').read(readings.slotsFast)
  metrics.gauge('slots_slow', 'Attempts of this node that are slow.').read(readings.slotsSlow)
  return { ...made, families: () => metrics.families() }
}
