import { createL1, type L1 } from './l1/l1.ts'
import { memoryL1 } from './memory.ts'
import type { CheckedOptions } from './options.ts'
import type { Bumped, CacheTier } from './store.ts'

/** What this process keeps in front of a tier. */
export interface OwnMemory {
  /** Of a store in this process the store's own; undefined of a cache that is to have none. */
  readonly l1: L1 | undefined
  /** What was invalidated leaves it. */
  apply(list: readonly Bumped[]): void
}

export function createOwnMemory(tier: CacheTier, o: CheckedOptions): OwnMemory {
  // The store applies what it is told: this memory is its own.
  if (o.store.kind === 'memory') return { l1: memoryL1(tier, o.l1 || undefined), apply() {} }
  const l1 = o.l1 === false ? undefined : createL1(o.l1, { clock: o.clock, maxLoadMs: o.maxLoad })
  return {
    l1,
    apply(list) {
      // Stale data is the tier's: what expires softly leaves, too.
      for (const { scope, tags, epoch } of list) {
        if (epoch === true) l1?.drop()
        else if (scope !== undefined) l1?.scope(scope).bump(tags)
      }
    },
  }
}
