import { createMetrics, type Counter, type Gauge, type Histogram, type MetricFamily } from '@keelson/kernel'
import type { Lookup } from './lookup.ts'

/** Where a read ended. */
export type ReadTier = 'l1' | 'l2'
/** What it found. */
export type ReadResult = 'hit' | 'miss' | 'stale' | 'joined' | 'bypass'

/** The numbers of one cache. Hits of the own memory are too many to be counted one by one: they are read. */
export interface CacheMetrics {
  /** Of the own memory; added to when a hit happens. */
  readonly l1: { hits: number }
  read(tier: ReadTier, result: ReadResult): void
  readonly loads: Counter<'cache'>
  readonly loadSeconds: Histogram<'cache'>
  readonly fillsRefused: Counter<'cache'>
  readonly invalidations: Counter<'cache'>
  readonly invalidateWaitSeconds: Histogram<'cache'>
  readonly dropsRelayed: Counter<'cache'>
  readonly storeErrors: Counter<'cache' | 'reason'>
  readonly unsupported: Counter<'cache'>
  readonly schemaMismatch: Counter<'cache'>
  readonly labels: { readonly cache: string }
  /** Of hits to all reads, since the start. */
  hitRatio(): number
  families(): MetricFamily[]
}

/** What is asked when the numbers are read. */
export interface Readings {
  owed(): number
  logOldestMs(): number
  entries(): number
  bytes(): number
  leaseHeld(): boolean
  evictions(): number
}

export function createCacheMetrics(cache: string, readings: Readings): CacheMetrics {
  const metrics = createMetrics('cache')
  const labels = { cache }
  const one = ['cache'] as const
  const reads = metrics.counter('reads', 'Reads by where they ended and what they found.', ['cache', 'tier', 'result'])
  const made = {
    loads: metrics.counter('loads', 'Loads begun.', one),
    loadSeconds: metrics.histogram('load', 'Time of loads.', { unit: 'seconds', labels: one }),
    fillsRefused: metrics.counter('fills_refused', 'Loads not stored: invalidated meanwhile (a race averted).', one),
    invalidations: metrics.counter('invalidations', 'Invalidations acknowledged.', one),
    invalidateWaitSeconds: metrics.histogram('invalidate_wait', 'Time until all nodes had applied an invalidation.', {
      unit: 'seconds',
      labels: one,
    }),
    dropsRelayed: metrics.counter('drops_relayed', 'Drops of committed transactions applied for another process.', one),
    storeErrors: metrics.counter('store_errors', 'Calls that the store did not serve.', ['cache', 'reason']),
    unsupported: metrics.counter('values_unsupported', 'Loaded values that could not be stored.', one),
    schemaMismatch: metrics.counter('schema_mismatch', 'Stored values that did not fit the schema.', one),
  }
  const gauge = (what: string, help: string, read: () => number): Gauge<'cache'> => {
    const made = metrics.gauge(what, help, one)
    made.read(read, labels)
    return made
  }
  gauge('drops_owed', 'Tags whose invalidation the store has not taken yet.', readings.owed)
  gauge(
    'log_oldest_seconds',
    'Age of the oldest committed drop that was not applied.',
    () => readings.logOldestMs() / 1000,
  )
  gauge('l1_entries', 'Entries in the memory of this process.', readings.entries)
  gauge('l1_bytes', 'Bytes of them, estimated.', readings.bytes)
  gauge('l1_lease_held', '1 while this process may serve from its memory.', () => (readings.leaseHeld() ? 1 : 0))
  const evictions = metrics.counter('l1_evictions', 'Entries that made room for others.', one)

  const l1 = { hits: 0 }
  const told = { hits: 0, evictions: 0 }
  const found = { hit: 0, all: 0 }
  const HIT = { cache, tier: 'l1', result: 'hit' }

  function settle(): void {
    reads.inc(HIT, l1.hits - told.hits)
    found.hit += l1.hits - told.hits
    found.all += l1.hits - told.hits
    told.hits = l1.hits
    const evicted = readings.evictions()
    evictions.inc(labels, evicted - told.evictions)
    told.evictions = evicted
  }

  return {
    ...made,
    l1,
    labels,
    read(tier, result) {
      reads.inc({ cache, tier, result })
      found.all++
      if (result === 'hit') found.hit++
    },
    hitRatio() {
      settle()
      return found.all === 0 ? 0 : found.hit / found.all
    },
    families() {
      settle()
      return metrics.families()
    },
  }
}

/** How the state of a lookup is counted. */
export const READ_OF: Record<Lookup<unknown>['state'], readonly [ReadTier, ReadResult]> = {
  l1: ['l1', 'hit'],
  l2: ['l2', 'hit'],
  loaded: ['l2', 'miss'],
  joined: ['l2', 'joined'],
  stale: ['l2', 'stale'],
  bypass: ['l2', 'bypass'],
}
