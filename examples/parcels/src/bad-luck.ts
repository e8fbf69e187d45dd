import type { Tx } from '@keelson/kernel'
import type { System } from './system.ts'

/** For the story: something happens in each booking, behind the shipment's row and in front of everything else. */
export function behindFirstRow({ idempotency, ...rest }: System, happens: () => void): System {
  const transaction: typeof idempotency.transaction = (call, work) =>
    idempotency.transaction(call, (tx, operation) => work(unlucky(tx, happens), operation))
  return { ...rest, idempotency: { ...idempotency, transaction } }
}

function unlucky(tx: Tx, happens: () => void): Tx {
  return {
    async query(text, values) {
      const result = await tx.query(text, values)
      if (text.startsWith('insert into parcels.shipments')) happens()
      return result
    },
  }
}
