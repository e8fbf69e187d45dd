import type { Component } from './component.ts'
import { createMetrics, type Counter, type Gauge, type Histogram } from './metrics.ts'

const metrics = createMetrics('kernel')

/** How a call through a guard ended: `rejected` by the guard, `failed` by a store that is away, `error` by its answer. */
export type StoreOutcome = 'ok' | 'failed' | 'timeout' | 'rejected' | 'error'
export const storeCalls: Counter<'store' | 'outcome'> = metrics.counter(
  'store_calls',
  'Calls to a store through its guard, by how they ended. Pings are not counted.',
  ['store', 'outcome'],
)
export const storeOpen: Gauge<'store'> = metrics.gauge(
  'store_open',
  'Guards of a store that are open, so that its calls are refused.',
  ['store'],
)

/** `unknown` is COMMIT_UNKNOWN, `unavailable` STORE_UNAVAILABLE, `failed` any other error. */
export type UnitOutcome = 'commit' | 'rollback' | 'failed' | 'unavailable' | 'unknown'
export const units: Counter<'end'> = metrics.counter('units', 'Units of work, by how they ended.', ['end'])
export const unitSeconds: Histogram = metrics.histogram(
  'unit',
  'How long units of work took, with their restarts and the wait for a connection.',
  { unit: 'seconds' },
)
export const afterCommitFailures: Counter<'kind'> = metrics.counter(
  'aftercommit_failures',
  'afterCommit hooks that threw or took too long, by the kind of their effect.',
  ['kind'],
)

/**
 * What the kernel counts in this process, over all guards and units of work: no component of the six counts it again.
 * Given to `text` or `collect` beside the components.
 */
export const kernelMetrics: Pick<Component, 'metrics'> = { metrics: () => metrics.families() }
