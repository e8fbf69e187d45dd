import { createMetrics, type MetricFamily } from '@keelson/kernel'
import type { BreakerState } from './breaker.ts'
import type { Engine } from './engine.ts'
import { LATENCY_BOUNDS_MS } from './latencies.ts'

const STATES: readonly BreakerState[] = ['closed', 'open', 'half-open', 'ramp']

/** The numbers of one pipeline. The engine counts in plain fields; they become metrics when somebody reads. */
export function pipelineMetrics(engine: Engine): (states: readonly BreakerState[]) => MetricFamily[] {
  const pipeline = engine.settings.name
  const metrics = createMetrics('resilience')
  const one = ['pipeline'] as const
  const told = new Map<string, number>()
  const calls = metrics.counter('calls', 'Calls by what came of them.', ['pipeline', 'outcome'])
  const attempts = metrics.counter('attempts', 'Times that a work was begun.', one)
  const suppressed = metrics.counter('retries_suppressed', 'Retries that were not made, by why.', [
    'pipeline',
    'reason',
  ])
  const abandoned = metrics.counter('abandoned', 'Works that did not end in time after they were given up.', one)
  const breakers = metrics.gauge('breaker_state', 'Keys by the state of their breaker.', ['pipeline', 'state'])
  const labels = { pipeline }
  metrics
    .gauge('limit', 'Calls that may be under way, without a key.', one)
    .read(() => engine.upstream.limits?.limit(0) ?? NaN, labels)
  metrics.gauge('inflight', 'Works that have not ended.', one).read(() => engine.inFlight, labels)
  metrics.gauge('queued', 'Calls that wait for a place.', one).read(() => engine.upstream.waiters?.size ?? 0, labels)

  /** What was counted since the last reading. */
  function since(name: string, count: number): number {
    const more = count - (told.get(name) ?? 0)
    told.set(name, count)
    return more
  }

  return (states) => {
    for (const [outcome, count] of Object.entries(engine.outcomes))
      calls.inc({ pipeline, outcome }, since(outcome, count))
    for (const [reason, count] of Object.entries(engine.suppressions))
      suppressed.inc({ pipeline, reason }, since(`suppressed ${reason}`, count))
    attempts.inc(labels, since('attempts', engine.attempts))
    abandoned.inc(labels, since('abandoned', engine.abandonments))
    for (const state of STATES) breakers.set(states.filter((each) => each === state).length, { pipeline, state })
    return [...metrics.families(), latencyFamily(engine)]
  }
}

/** Of successes. Its buckets are the engine's own, which it decides by. */
function latencyFamily(engine: Engine): MetricFamily {
  const name = 'keelson_resilience_latency_seconds'
  const labels = { pipeline: engine.settings.name }
  const { counts, sumMs } = engine.upstream.latencies
  let count = 0
  const buckets = LATENCY_BOUNDS_MS.map((boundMs, bucket) => {
    count += counts[bucket]!
    return { name: `${name}_bucket`, labels: { ...labels, le: String(boundMs / 1000) }, value: count }
  })
  return {
    name,
    help: 'Time of attempts that succeeded.',
    type: 'histogram',
    samples: [
      ...buckets,
      { name: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
      { name: `${name}_sum`, labels, value: sumMs[0]! / 1000 },
      { name: `${name}_count`, labels, value: count },
    ],
  }
}
