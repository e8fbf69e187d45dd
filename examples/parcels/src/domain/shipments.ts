import type { Tx } from '@keelson/kernel'
import type { Migration } from '@keelson/kernel/postgres'
import { z } from 'zod'

/** What a merchant asks for. */
export const newShipment = z.strictObject({
  to: z.string().trim().min(1).max(100),
  kg: z.number().positive().max(1000),
})

export type NewShipment = z.infer<typeof newShipment>

export interface Shipment extends NewShipment {
  readonly id: string
  readonly merchant: string
  readonly status: 'booked'
}

/** A page of a list; `next` is what to ask for as `after`. */
export interface Page {
  readonly items: readonly Shipment[]
  readonly next: string | null
}

export const shipmentTables: Migration = {
  package: 'parcels',
  id: '0001_shipments',
  statements: [
    `create table {schema}.shipments (
  id bigint generated always as identity primary key,
  merchant text not null,
  "to" text not null,
  kg float8 not null,
  status text not null default 'booked'
)`,
    'create index shipments_merchant on {schema}.shipments (merchant, id)',
  ],
}

const COLUMNS = 'id::text as id, merchant, "to", kg, status'

/** Books a shipment: one row. */
export async function bookShipment(tx: Tx, merchant: string, { to, kg }: NewShipment): Promise<Shipment> {
  const { rows } = await tx.query(
    `insert into parcels.shipments (merchant, "to", kg) values ($1, $2, $3) returning ${COLUMNS}`,
    [merchant, to, kg],
  )
  return rows[0] as Shipment
}

/** The merchant's own shipment; undefined when there is none of this id. */
export async function findShipment(tx: Tx, merchant: string, id: string): Promise<Shipment | undefined> {
  if (!isId(id)) return undefined
  const { rows } = await tx.query(`select ${COLUMNS} from parcels.shipments where merchant = $1 and id = $2`, [
    merchant,
    id,
  ])
  return rows[0] as Shipment | undefined
}

/** Keyset pages: what is booked meanwhile moves no row to another page. */
export async function listShipments(tx: Tx, merchant: string, after: string, limit: number): Promise<Page> {
  const { rows } = await tx.query(
    `select ${COLUMNS} from parcels.shipments where merchant = $1 and id > $2 order by id limit $3`,
    [merchant, after, limit + 1],
  )
  const items = (rows as Shipment[]).slice(0, limit)
  return { items, next: rows.length > limit ? items.at(-1)!.id : null }
}

/** True for the text of a row's id. */
export function isId(text: string): boolean {
  return /^\d{1,18}$/.test(text)
}
