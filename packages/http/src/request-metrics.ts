import { createMetrics, type Counter, type Gauge, type Histogram, type MetricFamily } from '@keelson/kernel'

/** What http counts. Routes are templates: ten thousand ids are one series. */
export interface RequestMetrics {
  readonly requests: Counter<'method' | 'route' | 'status'>
  readonly seconds: Histogram<'method' | 'route'>
  readonly inFlight: Gauge
  readonly idempotency: Counter<'route' | 'outcome'>
  readonly cache: Counter<'route' | 'result'>
  readonly limited: Counter<'limiter'>
  readonly notStored: Counter<'why'>
  readonly notAudited: Counter<'why'>
  readonly badHeaders: Counter<'header'>
  families(): MetricFamily[]
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** A method as a label: clients can make them up. */
export function methodLabel(method: string): string {
  return METHODS.has(method) ? method : 'other'
}

/** All at zero. */
export function createRequestMetrics(): RequestMetrics {
  const metrics = createMetrics('http')
  return {
    requests: metrics.counter('requests', "Requests by status, or 'aborted'.", ['method', 'route', 'status']),
    seconds: metrics.histogram('request', 'What requests took.', {
      unit: 'seconds',
      labels: ['method', 'route'],
    }),
    inFlight: metrics.gauge('in_flight', 'Requests under way.'),
    idempotency: metrics.counter('idempotency', 'What came of keys.', ['route', 'outcome']),
    cache: metrics.counter('cache', 'What came of cached routes.', ['route', 'result']),
    limited: metrics.counter('limited', 'Requests that were refused for there were too many.', ['limiter']),
    notStored: metrics.counter('not_stored', 'Answers that are not kept.', ['why']),
    notAudited: metrics.counter('not_audited', 'Answers whose entry the audit log did not take.', ['why']),
    badHeaders: metrics.counter('bad_headers', 'Request headers that mean nothing.', ['header']),
    families: () => metrics.families(),
  }
}
