import type { Principal } from '@keelson/kernel'
import { transact } from '@keelson/kernel/postgres'
import { teamOf } from './couriers.ts'
import { eraseShipments } from './domain/shipments.ts'
import { holdersOf } from './persons.ts'
import type { System } from './system.ts'

type Parts = Pick<System, 'db' | 'idempotency' | 'caches' | 'webhooks' | 'audit' | 'sync'>

/** What of a merchant is gone, by who held it. */
export type Erased = Readonly<Record<string, object>>

/**
 * Takes a merchant's values out of every store. Ids stay: of the merchant, of what it did. Each step may be repeated, so
 * who is killed in the middle asks again.
 */
export async function eraseMerchant(parts: Parts, merchant: string, by: Principal): Promise<Erased> {
  const { db, caches, webhooks, sync } = parts
  const erased: Record<string, object> = {}
  for (const { name, erase } of holdersOf(parts, merchant)) erased[name] = await erase(by)
  const shipments = await transact(db, async (tx) => ({
    value: await eraseShipments(tx, merchant),
    effects: [caches.scope(merchant).drop(`merchant:${merchant}`)],
  }))
  // What was kept of edits that name nobody.
  await sync.forget({ scope: teamOf(merchant) })
  await caches.purge(merchant)
  return { ...erased, shipments: { shipments }, endpoints: { endpoints: await deleteEndpoints(webhooks, merchant) } }
}

async function deleteEndpoints({ endpoints }: System['webhooks'], scope: string): Promise<number> {
  for (let deleted = 0; ;) {
    const { items } = await endpoints.list({ scope, limit: 100 })
    if (items.length === 0) return deleted
    for (const { id } of items) await endpoints.delete({ scope, id })
    deleted += items.length
  }
}
