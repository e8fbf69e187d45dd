import { createMetrics, type Counter, type Histogram, type MetricFamily } from '@keelson/kernel'

/** What is counted, and what is read when somebody asks. */
export interface AuditMetrics {
  readonly recorded: Counter<'durability'>
  readonly refused: Counter<'code'>
  readonly dropped: Counter
  readonly gaps: Counter
  readonly shipped: Counter<'sink'>
  readonly retries: Counter<'sink' | 'reason'>
  readonly dead: Counter<'sink'>
  readonly appendSeconds: Histogram
  families(): MetricFamily[]
}

/** Gauges, each asked at a reading; what throws has no sample. */
export interface AuditReadings {
  sealLagSeconds(): number
  sealedSize(): number
  spooled(): number
  storeBytes(): number
  readonly sinks: readonly { readonly name: string; lagSeconds(): number; pending(): number }[]
}

/** Names are part of the API: see docs/metrics.md. */
export function createAuditMetrics(readings: AuditReadings): AuditMetrics {
  const metrics = createMetrics('audit')
  const recorded = metrics.counter('recorded', 'Entries accepted, by what that is worth.', ['durability'])
  const refused = metrics.counter('refused', 'Entries refused, by error code.', ['code'])
  const dropped = metrics.counter('dropped', 'Entries lost: of emit, or for lack of space.')
  const gaps = metrics.counter('gaps', 'Entries that tell of a loss.')
  metrics.gauge('seal_lag_seconds', 'Age of the oldest entry that is not sealed.').read(readings.sealLagSeconds)
  metrics.gauge('sealed_size', 'Entries in the tree.').read(readings.sealedSize)
  const shipped = metrics.counter('shipped', 'Entries that a sink has.', ['sink'])
  const lag = metrics.gauge('sink_lag_seconds', 'Age of the oldest sealed entry that a sink has not.', ['sink'])
  const pending = metrics.gauge('sink_pending', 'Sealed entries that a sink has not.', ['sink'])
  for (const { name: sink, lagSeconds, pending: left } of readings.sinks) {
    lag.read(lagSeconds, { sink })
    pending.read(left, { sink })
  }
  const retries = metrics.counter('sink_retries', 'Entries tried again, alone or with their request.', [
    'sink',
    'reason',
  ])
  const dead = metrics.counter('dead', 'Dead letters.', ['sink'])
  metrics.gauge('spooled', 'Entries that wait in the spool.').read(readings.spooled)
  metrics.gauge('store_bytes', 'What the journal takes.').read(readings.storeBytes)
  const appendSeconds = metrics.histogram('append', 'How long the journal took for a batch.', { unit: 'seconds' })
  return {
    recorded,
    refused,
    dropped,
    gaps,
    shipped,
    retries,
    dead,
    appendSeconds,
    families: () => metrics.families(),
  }
}
