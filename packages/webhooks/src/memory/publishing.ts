import type { Matched, WebhookStore } from '../store.ts'
import { createLane, handlerLane, isHandlerId, type Lane } from './lane.ts'
import { pend } from './moves.ts'
import { keptDelivery, keptEvent, type KeptDelivery, type KeptEvent } from './rows.ts'
import { revisionOf, scopeOf, wake, type Scope, type State } from './state.ts'

export function createPublishing(state: State): Pick<WebhookStore, 'publish'> {
  return {
    async publish(events) {
      const nowMs = state.now()
      const kinds = events.map((event) => {
        const scope = scopeOf(state, event.scope)
        const known = scope.events.get(event.id)
        if (known !== undefined) return known.digest === event.digest ? 'duplicate' : 'conflict'
        const kept = keptEvent(event, nowMs, state.order++)
        scope.events.set(event.id, kept)
        if (event.correlationId !== undefined) addTrace(state, event.correlationId, kept)
        const { matched } = event
        if (matched !== undefined && scope.unrouted === 0 && matched.revision === revisionOf(state, scope)) {
          deliver(state, scope, kept, matched, nowMs)
        } else {
          state.unrouted.push(kept)
          scope.unrouted++
        }
        return 'fresh'
      })
      wake(state)
      return kinds
    },
  }
}

/** Makes the deliveries of an event. */
export function deliver(state: State, scope: Scope, event: KeptEvent, { deliveries }: Matched, nowMs: number): void {
  event.routed = true
  if (event.stored.erased) return
  const made: KeptDelivery[] = []
  for (const { id, endpoint } of deliveries) {
    const lane = laneOf(state, scope, endpoint, nowMs)
    if (lane === undefined) continue
    const delivery = keptDelivery(id, event, lane, nowMs)
    scope.deliveries.set(id, delivery)
    made.push(delivery)
    pend(state, delivery, Math.max(nowMs, event.notBeforeMs), nowMs)
  }
  // Kept as long as it must be, without the room to push more.
  event.deliveries = made.slice()
}

/** A handler's lane is made by its first delivery in a scope. */
function laneOf({ handlers }: State, scope: Scope, id: string, nowMs: number): Lane | undefined {
  const lane = scope.endpoints.get(id)
  if (lane !== undefined || !isHandlerId(id)) return lane
  const handler = handlers.get(id.slice('fn:'.length))
  if (handler === undefined) return undefined
  const made = createLane(handlerLane(scope.name, handler), nowMs, scope.paused)
  scope.endpoints.set(id, made)
  return made
}

function addTrace({ traces }: State, correlationId: string, event: KeptEvent): void {
  const others = traces.get(correlationId)
  if (others === undefined) traces.set(correlationId, [event])
  else others.push(event)
}
