import type { Component, Tx } from '@keelson/kernel'
import { bookedBy } from './domain/shipments.ts'

/** The domain's own part in the answer to `explain`. */
export function shipmentRows(reads: Pick<Tx, 'query'>): Pick<Component, 'inspect' | 'metrics' | 'trace'> {
  return {
    inspect: async () => ({ name: 'shipments', state: 'ok', counts: {} }),
    metrics: () => [],
    async trace(correlationId) {
      const rows = await bookedBy(reads, correlationId)
      return rows.map(({ at, id, merchant, status }) => ({
        at,
        kind: 'shipment',
        text: `shipment ${id} of ${merchant}, by now ${status}`,
      }))
    },
  }
}
