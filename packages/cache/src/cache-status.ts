import type { Clock, StoreGuard } from '@keelson/kernel'
import type { CacheStatus } from './caches.ts'
import type { CommittedDrops } from './committed-drops.ts'
import type { GuardedTier } from './guarded-tier.ts'
import type { Invalidations } from './invalidations.ts'
import type { L1 } from './l1/l1.ts'
import type { CacheMetrics } from './metrics.ts'

/** What `inspect()` answers of the parts of a cache. A store or a log that is away is told as such. */
export async function cacheStatus(o: {
  readonly running: boolean
  readonly kind: string
  readonly guard: StoreGuard
  readonly shared: GuardedTier
  readonly lease: Readonly<{ endsMs: number }>
  readonly l1: L1 | undefined
  readonly loads: number
  readonly invalidations: Invalidations
  readonly drops: CommittedDrops | undefined
  readonly metrics: CacheMetrics
  readonly clock: Clock
}): Promise<CacheStatus> {
  const { running, kind, guard, shared, lease, l1, loads, invalidations, drops, metrics, clock } = o
  const { openedAt, lastError } = guard.stats()
  const isUp = guard.state === 'closed'
  const nowMs = clock.monotonic()
  const owed = { tags: invalidations.owed, oldestMs: invalidations.oldestOwedMs }
  const log = (await drops?.backlog()) ?? null
  return {
    name: 'cache',
    state: isUp && owed.tags === 0 ? 'ok' : 'degraded',
    counts: { entries: l1?.entries ?? 0, loads, owed: owed.tags },
    ...(openedAt === undefined
      ? {}
      : { lastError: { code: 'STORE_UNAVAILABLE', at: openedAt, message: lastError ?? '' } }),
    running,
    store: { kind, state: isUp ? 'up' : 'down', ...(openedAt === undefined ? {} : { since: openedAt }) },
    lease: {
      held: nowMs < lease.endsMs,
      expiresInMs: Math.max(0, lease.endsMs - nowMs),
      peers: invalidations.peers,
    },
    l1: { entries: l1?.entries ?? 0, bytes: l1?.bytes ?? 0, tags: l1?.tags ?? 0, hitRatio: metrics.hitRatio() },
    loads: { running: loads },
    owed,
    log,
    epoch: await shared.call((tier) => tier.epoch()).catch(() => undefined),
  }
}
