import type { Principal } from '@keelson/kernel'
import { allShipments } from './domain/shipments.ts'
import { holdersOf } from './persons.ts'
import type { System } from './system.ts'

type Parts = Pick<System, 'db' | 'idempotency' | 'webhooks' | 'audit' | 'sync'>

/**
 * All that is held of a merchant, a line of JSON each: who holds it, and what. The last one counts the others, so that an
 * export that was cut off is no whole one. The log of who did what knows of it before the first line.
 */
export async function* exportMerchant(parts: Parts, merchant: string, by: Principal): AsyncIterable<string> {
  const { db, webhooks } = parts
  let lines = 0
  const line = (holder: string, data: unknown): string => {
    lines++
    return `${JSON.stringify({ holder, data })}\n`
  }
  for (const { name, export: all } of holdersOf(parts, merchant)) {
    for await (const data of all(by)) yield line(name, data)
  }
  for (const shipment of await allShipments(db, merchant)) yield line('shipments', shipment)
  for (let after: string | null | undefined; after !== null;) {
    const page = await webhooks.endpoints.list({ scope: merchant, ...(after === undefined ? {} : { after }) })
    for (const endpoint of page.items) yield line('endpoints', endpoint)
    after = page.next
  }
  yield `${JSON.stringify({ end: true, lines })}\n`
}
