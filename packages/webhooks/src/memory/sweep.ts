import type { Retention } from '../store.ts'
import { laneHeld } from './lane.ts'
import { end } from './moves.ts'
import { isOpen, type KeptDelivery, type KeptEvent } from './rows.ts'
import type { Scope, State } from './state.ts'

/** Removes rows that are over until `limit` is reached, ends what was held too long, and says how many. */
export function sweep(state: State, limit: number, retention: Retention): number {
  const nowMs = state.now()
  let swept = 0
  for (const scope of state.scopes.values()) {
    for (const delivery of scope.deliveries.values()) {
      if (swept >= limit) return swept
      swept += sweepDelivery(state, scope, delivery, retention, nowMs)
    }
    for (const event of scope.events.values()) {
      if (swept >= limit) return swept
      if (nowMs - event.stored.createdAtMs < retention.eventsMs || !event.routed) continue
      if (event.deliveries.length > 0) continue
      dropEvent(state, scope, event)
      swept++
    }
  }
  return swept
}

function sweepDelivery(
  state: State,
  scope: Scope,
  delivery: KeptDelivery,
  { heldMs, deliveriesMs, attemptsMs }: Retention,
  nowMs: number,
): number {
  const { lane, log, event } = delivery
  let swept = 0
  if (isOpen(delivery)) {
    const sinceMs = Math.max(lane.heldSinceMs ?? Infinity, delivery.createdAtMs)
    if (laneHeld(lane) !== null && delivery.status === 'pending' && nowMs - sinceMs >= heldMs) {
      end(state, delivery, 'dead', 'expired', nowMs)
      swept++
    }
  } else if (nowMs - delivery.finishedAtMs! >= deliveriesMs) {
    scope.deliveries.delete(delivery.id)
    event.deliveries = event.deliveries.filter((other) => other !== delivery)
    return 1
  }
  const kept = log.filter(({ atMs }) => nowMs - atMs < attemptsMs)
  if (kept.length < log.length) delivery.log = kept
  return swept + log.length - kept.length
}

function dropEvent({ traces }: State, scope: Scope, event: KeptEvent): void {
  const { id, correlationId } = event.stored
  scope.events.delete(id)
  if (correlationId === undefined) return
  const left = traces.get(correlationId)?.filter((other) => other !== event) ?? []
  if (left.length === 0) traces.delete(correlationId)
  else traces.set(correlationId, left)
}
