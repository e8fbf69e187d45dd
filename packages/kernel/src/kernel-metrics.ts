import type { Component } from './component.ts'
import { createMetrics, type Counter, type Gauge, type Histogram } from './metrics.ts'

const metrics = createMetrics('kernel')

/** How a call through a guard ended: `rejected` by the guard, `failed` by a store that is away, `error` by its answer. */
export type StoreOutcome = 'ok' | 'failed' | 'timeout' | 'rejected' | 'error'
export const storeCalls: Counter<'store' | 'outcome'> = metrics.counter(
  'store_calls',
  'Calls through a guard, by how they ended.',
  ['store', 'outcome'],
)
export const storeOpen: Gauge<'store'> = metrics.gauge('store_open', 'Guards that are open.', ['store'])

/** `unknown` is COMMIT_UNKNOWN, `unavailable` STORE_UNAVAILABLE, `failed` any other error. */
export type UnitOutcome = 'commit' | 'rollback' | 'failed' | 'unavailable' | 'unknown'
export const units: Counter<'end'> = metrics.counter('units', 'Units of work, by how they ended.', ['end'])
export const unitSeconds: Histogram = metrics.histogram('unit', 'Time of units of work, restarts included.', {
  unit: 'seconds',
})
export const afterCommitFailures: Counter<'kind'> = metrics.counter(
  'aftercommit_failures',
  'afterCommit hooks that threw or took too long.',
  ['kind'],
)

/**
 * What the kernel counts in this process, over all guards and units of work: no component of the six counts it again.
 * Given to `text` or `collect` beside the components.
 */
export const kernelMetrics: Pick<Component, 'metrics'> = { metrics: () => metrics.families() }
