import type { StoreStatus } from '../store.ts'
import { laneHeld } from './lane.ts'
import type { State } from './state.ts'

/** The numbers of all scopes. */
export function statusOf({ scopes, unrouted, allPaused, now }: State): StoreStatus {
  const nowMs = now()
  const counts = {
    unrouted: unrouted.length,
    pending: 0,
    delivering: 0,
    held: 0,
    dead: 0,
    endpointsActive: 0,
    endpointsPaused: 0,
    endpointsDisabled: 0,
    breakersOpen: 0,
  }
  let oldestDueMs = 0
  for (const scope of scopes.values()) {
    for (const { row, health, isHandler } of scope.endpoints.values()) {
      if (health.openUntilMs !== null) counts.breakersOpen++
      if (isHandler) continue
      if (row.state === 'active') counts.endpointsActive++
      else if (row.state === 'paused') counts.endpointsPaused++
      else counts.endpointsDisabled++
    }
    for (const { status, lane, waits, dueMs } of scope.deliveries.values()) {
      if (status === 'dead') counts.dead++
      if (status === 'delivering') counts.delivering++
      if (status !== 'pending') continue
      counts.pending++
      if (allPaused || laneHeld(lane) !== null) counts.held++
      else if (!waits && lane.health.openUntilMs === null) oldestDueMs = Math.max(oldestDueMs, nowMs - dueMs)
    }
  }
  const unroutedMs = unrouted.length === 0 ? 0 : nowMs - unrouted[0]!.stored.createdAtMs
  return { counts, oldestDueMs, unroutedMs, conflicts: 0 }
}
