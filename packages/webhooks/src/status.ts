import type { StoreGuard } from '@keelson/kernel'
import type { StoreStatus } from './store.ts'
import type { WebhooksStatus } from './webhooks.ts'

/** Deliveries that are due for longer are late. */
const LATE_MS = 60_000
/** Of endpoints with an open breaker; with more it is not the receivers. */
const MANY_OPEN = 0.1

const NONE: StoreStatus['counts'] = {
  unrouted: 0,
  pending: 0,
  delivering: 0,
  held: 0,
  dead: 0,
  endpointsActive: 0,
  endpointsPaused: 0,
  endpointsDisabled: 0,
  breakersOpen: 0,
}

/** How webhooks are, by what the store said last; down while it says nothing. */
export function statusOf(
  guard: StoreGuard,
  last: StoreStatus | undefined,
  slots: { readonly fast: number; readonly slow: number },
): WebhooksStatus {
  const counts = last?.counts ?? NONE
  const { openedAt, lastError, state } = guard.stats()
  const { endpointsActive, breakersOpen } = counts
  const late = (last?.oldestDueMs ?? 0) > LATE_MS
  const degraded = late || breakersOpen > endpointsActive * MANY_OPEN
  return {
    name: 'webhooks',
    state: state === 'open' ? 'down' : degraded ? 'degraded' : 'ok',
    counts: { ...counts, slotsFast: slots.fast, slotsSlow: slots.slow },
    oldestMs: last?.oldestDueMs ?? 0,
    lagMs: last?.unroutedMs ?? 0,
    ...(openedAt === undefined
      ? {}
      : { lastError: { code: 'STORE_UNAVAILABLE', at: openedAt, message: lastError ?? '' } }),
  }
}
