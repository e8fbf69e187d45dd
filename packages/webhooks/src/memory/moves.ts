import { afterEnd } from '../lane.ts'
import { enqueue, leave } from './lane.ts'
import type { KeptDelivery } from './rows.ts'
import type { State } from './state.ts'

/** How a delivery that is final has ended. */
type Final = 'succeeded' | 'dead' | 'cancelled'

/** A delivery waits, from then on for an attempt. */
export function pend(state: State, delivery: KeptDelivery, dueMs: number, nowMs: number): void {
  giveUpLease(state, delivery)
  delivery.status = 'pending'
  delivery.dueMs = dueMs
  enqueue(delivery)
  state.ready.schedule(delivery.lane, nowMs)
}

/** A delivery is final. */
export function end(
  state: State,
  delivery: KeptDelivery,
  status: Final,
  reason: KeptDelivery['reason'],
  nowMs: number,
): void {
  giveUpLease(state, delivery)
  delivery.status = status
  delivery.reason = reason
  delivery.finishedAtMs = nowMs
  leave(delivery)
  state.ready.schedule(delivery.lane, nowMs)
}

/** A delivery that is not under way goes again, as if it had never been tried. */
export function reopen(state: State, delivery: KeptDelivery, redriven: boolean, nowMs: number): void {
  delivery.redriven = redriven
  delivery.reason = null
  delivery.finishedAtMs = null
  delivery.spent = 0
  delivery.crashes = 0
  pend(state, delivery, nowMs, nowMs)
}

/** One that was under way is not in flight any more. */
function giveUpLease({ leases }: State, delivery: KeptDelivery): void {
  if (delivery.lease === null) return
  leases.end(delivery)
  delivery.lane.health = afterEnd(delivery.lane.health, delivery.redriven)
}
