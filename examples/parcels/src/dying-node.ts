import type { Tx } from '@keelson/kernel'
import { readEnvironment } from './environment.ts'
import { startNode } from './node.ts'
import { openSystem, type System } from './system.ts'

/**
 * A node for the story: it dies in the middle of its first booking, behind the shipment's row and in front of
 * everything else. SIGKILL: no line runs afterwards, nothing is cleaned up.
 */
const environment = readEnvironment(process.env)
const system = await openSystem(environment)
const node = await startNode(dying(system), environment)
console.log(JSON.stringify({ ready: true, url: node.url }))

function dying({ idempotency, ...rest }: System): System {
  const transaction: typeof idempotency.transaction = (call, work) =>
    idempotency.transaction(call, (tx, operation) => work(dyingBehindInsert(tx), operation))
  return { ...rest, idempotency: { ...idempotency, transaction } }
}

function dyingBehindInsert(tx: Tx): Tx {
  return {
    async query(text, values) {
      const result = await tx.query(text, values)
      if (text.startsWith('insert into parcels.shipments')) process.kill(process.pid, 'SIGKILL')
      return result
    },
  }
}
