import type { Clock } from '@keelson/kernel'
import type { GuardedTier } from './guarded-tier.ts'
import type { Lease, Ref } from './store.ts'

/** The locks of loads that run here: renewed together while they do. */
export interface LoadLocks {
  /** Renews it from now on. The answer ends that. */
  hold(ref: Ref, lease: Lease): () => void
  close(): void
}

export function createLoadLocks(o: {
  readonly shared: GuardedTier
  readonly node: string
  readonly lockMs: number
  /** A load that takes longer is stored nowhere, so others may begin. */
  readonly maxLoadMs: number
  readonly clock: Clock
}): LoadLocks {
  const { shared, node, lockMs, maxLoadMs, clock } = o
  const held = new Set<{ readonly ref: Ref; readonly lease: Lease; readonly sinceMs: number }>()
  let timer: { cancel(): void } | undefined

  function schedule(): void {
    timer = clock.timer(() => {
      const now = clock.monotonic()
      const young = [...held].filter(({ sinceMs }) => now - sinceMs < maxLoadMs)
      // One that cannot be renewed now ends by itself; then another process loads, too.
      if (young.length > 0) shared.call((tier) => tier.extend(young, node, lockMs)).catch(() => {})
      timer = undefined
      if (held.size > 0) schedule()
    }, lockMs / 3)
  }

  return {
    hold(ref, lease) {
      const lock = { ref, lease, sinceMs: clock.monotonic() }
      held.add(lock)
      if (timer === undefined) schedule()
      return () => held.delete(lock)
    },
    close: () => timer?.cancel(),
  }
}
