import { context, isKeelsonError, type StoreGuard } from '@keelson/kernel'
import { CacheError } from './error.ts'
import type { CacheMetrics } from './metrics.ts'
import type { CacheTier } from './store.ts'

/** The tier behind its guard: each call ends in time, and whatever fails, fails as STORE_UNAVAILABLE. */
export interface GuardedTier {
  /** False while calls are refused at once. */
  readonly up: boolean
  call<T>(fn: (tier: CacheTier) => Promise<T>): Promise<T>
}

export function createGuardedTier(tier: CacheTier, guard: StoreGuard, metrics: CacheMetrics): GuardedTier {
  return {
    get up() {
      return guard.state === 'closed'
    },
    async call(fn) {
      try {
        // One call serves many callers: it has the deadline of none of them.
        return await context.resume({}, () => guard.call(() => fn(tier)))
      } catch (cause) {
        const reason = reasonOf(cause)
        metrics.storeErrors.inc({ ...metrics.labels, reason })
        // An answer that makes no sense (a script's error, a full server) is no reason to fail a read either.
        throw new CacheError('STORE_UNAVAILABLE', `the cache's store is away: ${(cause as Error).message}`, {
          cause,
          retryAfter: isKeelsonError(cause) ? (cause.retryAfter ?? 1_000) : 1_000,
          details: { reason },
        })
      }
    },
  }
}

function reasonOf(cause: unknown): string {
  const { reason } = (isKeelsonError(cause) ? (cause.details ?? {}) : {}) as { reason?: string }
  return reason ?? 'refused'
}
