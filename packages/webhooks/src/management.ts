import { createDeliveries } from './deliveries.ts'
import { createEndpoints, type EndpointParts } from './endpoints.ts'
import { createEvents, type EventParts, type Events } from './events.ts'
import { createSigningKeys } from './signing-keys.ts'
import type { WebhookStore } from './store.ts'
import type { Deliveries, Endpoints, SigningKeys } from './webhooks.ts'

/** What operators and owners of endpoints do: loaded at the first call, since most processes never make one. */
export interface Management {
  readonly endpoints: Endpoints
  readonly events: Events
  readonly deliveries: Deliveries
  readonly signingKeys: SigningKeys
}

export function createManagement(o: EndpointParts & EventParts & { readonly store: WebhookStore }): Management {
  return {
    endpoints: createEndpoints(o),
    events: createEvents(o),
    deliveries: createDeliveries({ ...o, wake: o.changed }),
    signingKeys: createSigningKeys(o),
  }
}
