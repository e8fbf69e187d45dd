import { createEntries, type Entries } from './entries.ts'
import type { Flight } from './flight.ts'
import type { Gate } from './gate.ts'
import type { GuardedTier } from './guarded-tier.ts'
import { createLoadLocks } from './load-locks.ts'
import { createRunLoad } from './loads.ts'
import { createLookups, type Lookups } from './lookups.ts'
import type { CacheMetrics } from './metrics.ts'
import type { CheckedOptions } from './options.ts'
import { createReadBatch } from './read-batch.ts'
import type { Coherence } from './store.ts'
import { createValues } from './value-codec.ts'

/** The way from a key to its value, past this process's memory: the shared tier, a load. */
export interface ReadPath {
  readonly entries: Entries
  readonly lookups: Lookups
  /** Loads that run. */
  readonly loads: number
  /** Aborts the loads that run. */
  close(reason: Error): void
}

export function createReadPath(o: {
  readonly options: CheckedOptions
  readonly shared: GuardedTier
  readonly coherence: Coherence
  readonly gate: Gate
  readonly node: string
  readonly lease: Readonly<{ endsMs: number }>
  readonly metrics: CacheMetrics
}): ReadPath {
  const { options, shared, coherence, gate, node, lease, metrics } = o
  const { name, clock, logger, random, codec, share } = options
  const running = new Set<Flight>()
  const locks = createLoadLocks({ shared, node, lockMs: options.lockTtl, maxLoadMs: options.maxLoad, clock })
  const entries = createEntries({
    values: createValues(codec, options.compressAbove),
    // Of other codecs come values that freezing does not protect: Map, Date.
    share: share === 'freeze' && codec !== 'json' ? 'clone' : share,
    inProcess: options.store.kind === 'memory',
    jitter: options.jitter,
    random,
    metrics,
    clock,
    logger,
  })
  const lookups = createLookups({
    shared,
    reads: createReadBatch({ shared, gate, node, lockMs: options.lockTtl }),
    entries,
    locks,
    runLoad: createRunLoad({
      name,
      metrics,
      running,
      maxTtl: options.maxTtl,
      handOut: entries.handOut,
      clock,
      logger,
    }),
    metrics,
    lease,
    coherence,
    node,
    name,
    early: options.early,
    prefixDepth: options.prefixDepth,
    random,
    clock,
    logger,
  })
  return {
    entries,
    lookups,
    get loads() {
      return running.size
    },
    close(reason) {
      for (const load of running) load.abort(reason)
      locks.close()
    },
  }
}
