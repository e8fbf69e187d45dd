import type { DeliveryRows, RedriveRow } from '../store.ts'
import { reopen } from './moves.ts'
import { deliveryRow, matchesQuery, type KeptDelivery } from './rows.ts'
import { wake, type State } from './state.ts'

interface Redrive extends RedriveRow {
  readonly startedMs: number
  /** So far. */
  moved: number
  state: 'running' | 'done'
}

/** Redrives, and how those are forgotten that are done for so long. */
export function createRedrives(
  state: State,
): Pick<DeliveryRows, 'startRedrive' | 'redriveStatus' | 'redriveStep'> & { forget(keptMs: number): void } {
  const redrives = new Map<string, Redrive>()

  /** At most `limit`, as its pace allows. */
  function step(redrive: Redrive, limit: number, nowMs: number): number {
    // The first at once, then one each interval.
    const allowed = 1 + Math.floor(((nowMs - redrive.startedMs) * redrive.perSecond) / 1000)
    const most = Math.min(limit, allowed - redrive.moved)
    let moved = 0
    for (const delivery of state.scopes.get(redrive.scope)?.deliveries.values() ?? []) {
      if (!isRedriven(delivery, redrive, nowMs)) continue
      if (moved >= most) return moved
      reopen(state, delivery, true, nowMs)
      moved++
      redrive.moved++
    }
    redrive.state = 'done'
    return moved
  }

  return {
    async startRedrive(row) {
      redrives.set(row.id, { ...row, startedMs: state.now(), moved: 0, state: 'running' })
    },
    async redriveStatus(scope, id) {
      const redrive = redrives.get(id)
      return redrive?.scope === scope ? { state: redrive.state, moved: redrive.moved } : null
    },
    async redriveStep(limit) {
      const nowMs = state.now()
      let moved = 0
      for (const redrive of redrives.values()) {
        if (redrive.state === 'running') moved += step(redrive, limit - moved, nowMs)
      }
      if (moved > 0) wake(state)
      return moved
    },
    forget(keptMs) {
      const nowMs = state.now()
      for (const [id, redrive] of redrives) {
        if (redrive.state === 'done' && nowMs - redrive.startedMs >= keptMs) redrives.delete(id)
      }
    },
  }
}

/** Whether a redrive still has to move it: what ended after its start has had its turn. */
function isRedriven(delivery: KeptDelivery, redrive: Redrive, nowMs: number): boolean {
  if (delivery.lane.removed || delivery.event.stored.erased) return false
  if (delivery.finishedAtMs === null || delivery.finishedAtMs > redrive.startedMs) return false
  return matchesQuery(deliveryRow(delivery, nowMs), redrive)
}
