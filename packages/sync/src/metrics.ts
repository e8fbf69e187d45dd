import { createMetrics, type Counter, type Histogram, type MetricFamily } from '@keelson/kernel'

/** The numbers of one application's sync. */
export interface SyncMetrics {
  readonly ops: Counter<'collection' | 'status'>
  readonly conflicts: Counter<'collection' | 'code'>
  readonly pulls: Counter<'mode'>
  readonly resyncs: Counter<'reason'>
  readonly pushSeconds: Histogram
  readonly pullSeconds: Histogram
  readonly driftSeconds: Histogram
  families(): MetricFamily[]
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** Of clocks: seconds to days. */
const DRIFT_SECONDS = [0.5, 1, 2, 5, 10, 30, 60, 300, 3_600, 86_400]

export function createSyncMetrics(o: { waiters(): number }): SyncMetrics {
  const metrics = createMetrics('sync')
  const made = {
    ops: metrics.counter('ops', 'Operations by collection and by what became of them.', ['collection', 'status']),
    conflicts: metrics.counter('op_conflicts', 'Conflicts that were stored, by collection and code.', [
      'collection',
      'code',
    ]),
    pulls: metrics.counter('pulls', 'Pages by mode.', ['mode']),
    resyncs: metrics.counter('resync', 'Devices that had to start over, by reason.', ['reason']),
    pushSeconds: metrics.histogram('push', 'Time of pushes.', { unit: 'seconds', buckets: SECONDS }),
    pullSeconds: metrics.histogram('pull', 'Time of pages, without waiting.', { unit: 'seconds', buckets: SECONDS }),
    driftSeconds: metrics.histogram('drift', 'How far clocks of devices are off.', {
      unit: 'seconds',
      buckets: DRIFT_SECONDS,
    }),
  }
  metrics.gauge('waiters', 'Pulls that wait in this process.').read(o.waiters)
  return { ...made, families: () => metrics.families() }
}
