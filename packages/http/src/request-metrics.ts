import { createMetrics, type Counter, type Gauge, type Histogram, type MetricFamily } from '@keelson/kernel'

/** What http counts. Routes are templates: ten thousand ids are one series. */
export interface RequestMetrics {
  readonly requests: Counter<'method' | 'route' | 'status'>
  readonly seconds: Histogram<'method' | 'route'>
  readonly inFlight: Gauge
  readonly idempotency: Counter<'route' | 'outcome'>
  readonly notStored: Counter<'why'>
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
    requests: metrics.counter('requests', "Requests by status; 'aborted' when the client left first.", [
      'method',
      'route',
      'status',
    ]),
    seconds: metrics.histogram('request', 'From the first byte seen to the last byte handed over.', {
      unit: 'seconds',
      labels: ['method', 'route'],
    }),
    inFlight: metrics.gauge('in_flight', 'Requests that have no end yet.'),
    idempotency: metrics.counter(
      'idempotency',
      'Requests under a key, or without a required one, by what came of it.',
      ['route', 'outcome'],
    ),
    notStored: metrics.counter('not_stored', 'Answers under a key that are not kept, by why.', ['why']),
    badHeaders: metrics.counter('bad_headers', 'Request headers that were ignored because they mean nothing.', [
      'header',
    ]),
    families: () => metrics.families(),
  }
}
