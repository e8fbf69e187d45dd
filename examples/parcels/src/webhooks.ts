import { randomBytes } from 'node:crypto'
import type { Logger } from '@keelson/kernel'
import { createWebhooks, type Webhooks, type WebhookStore } from '@keelson/webhooks'
import { z } from 'zod'
import { shipment } from './domain/shipments.ts'
import type { Environment } from './environment.ts'

/** What merchants may hear of. */
const events = {
  'shipment.created': { schema: shipment },
  /** It is on its way, or stopped. */
  'shipment.updated': { schema: shipment },
  /** A courier left it at this place. */
  'shipment.delivered': { schema: shipment.pick({ id: true, to: true }).extend({ place: z.string() }) },
  /** A courier came too late with what it wrote down, so somebody should ask it. */
  'shipment.conflict': {
    schema: z.object({ id: z.string(), courier: z.string(), code: z.string(), lost: z.array(z.string()) }),
  },
}

/** The events of this application, typed. */
export type ParcelWebhooks = Webhooks<typeof events>

/** Secrets are sealed with `WEBHOOK_KEY`. Addresses of our own network are dialled only when `WEBHOOK_ALLOW` says so. */
export function openWebhooks(
  { WEBHOOK_KEY, WEBHOOK_ALLOW, STORE_TIMEOUT: storeTimeout }: Environment,
  store: WebhookStore,
  logger: Logger,
): ParcelWebhooks {
  return createWebhooks({
    store,
    events,
    encryption: [{ id: 'k1', key: WEBHOOK_KEY ?? ephemeralKey() }],
    network: { allow: WEBHOOK_ALLOW.split(',').filter(Boolean), httpsOnly: WEBHOOK_ALLOW === '' },
    storeTimeout,
    logger,
  })
}

function ephemeralKey(): Uint8Array {
  console.error('parcels: WEBHOOK_KEY is not set: secrets of endpoints are lost with this process')
  return randomBytes(32)
}
