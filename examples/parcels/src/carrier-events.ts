import { randomBytes } from 'node:crypto'
import { standard, type Verifier } from '@keelson/webhooks/verify'
import { z } from 'zod'
import type { Environment } from './environment.ts'
import type { Status } from './domain/status.ts'

/** What the carrier tells of a parcel. */
export const carrierEvent = z.object({
  type: z.enum(['parcel.collected', 'parcel.returned']),
  data: z.object({ shipment: z.string() }),
})

export const MEANING: Readonly<Record<z.infer<typeof carrierEvent>['type'], Status>> = {
  'parcel.collected': 'in-transit',
  'parcel.returned': 'returned',
}

/** Believes what is signed with `CARRIER_SECRET`; without one nobody is believed. */
export function openCarrierEvents({ CARRIER_SECRET }: Pick<Environment, 'CARRIER_SECRET'>): Verifier {
  return standard({ secrets: [CARRIER_SECRET ?? `whsec_${randomBytes(32).toString('base64')}`] })
}
