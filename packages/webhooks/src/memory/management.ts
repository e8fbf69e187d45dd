import type { DeliveryRows, EventRows, KeyRows, StoreStatus } from '../store.ts'
import { createDeliveries } from './deliveries.ts'
import { createEvents } from './events.ts'
import { createSigningKeys } from './signing-keys.ts'
import type { State } from './state.ts'
import { statusOf } from './status.ts'

/** What is asked of a store by people, and of their keys: in a chunk of its own, as whoever only sends needs none of it. */
export interface Management {
  readonly events: EventRows
  readonly deliveries: Pick<DeliveryRows, 'get' | 'list' | 'attempts' | 'retry' | 'cancel'>
  readonly signingKeys: KeyRows
  status(): StoreStatus
}

export function createManagement(state: State): Management {
  return {
    events: createEvents(state),
    deliveries: createDeliveries(state),
    signingKeys: createSigningKeys(state),
    status: () => statusOf(state),
  }
}
