import { PGlite } from '@electric-sql/pglite'
import { expect, test } from 'vitest'
import { migrate, transact } from '@keelson/kernel/postgres'
import { listShipments, originColumns, deliveryColumns, shipmentTables } from '../src/domain/shipments.ts'

test('pages tell each shipment once, in order, also where their numbers get a digit more', async () => {
  const db = await PGlite.create()
  await migrate(db, [{ schema: 'parcels', migrations: [shipmentTables, deliveryColumns, originColumns] }])
  await db.exec(`alter table parcels.shipments alter column id restart with 97;
insert into parcels.shipments (merchant, "to", kg) select 'm1', 'Oslo', 1 from generate_series(1, 7)`)
  const listed = await transact(db, async (tx) => {
    const seen: string[] = []
    for (let after: string | null = '0'; after !== null;) {
      const page = await listShipments(tx, 'm1', after, 2)
      seen.push(...page.items.map(({ id }) => id))
      after = page.next
    }
    return { value: seen }
  })
  expect(listed).toEqual(['97', '98', '99', '100', '101', '102', '103'])
  await db.close()
})
