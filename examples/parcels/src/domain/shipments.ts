import type { Tx } from '@keelson/kernel'
import type { Migration } from '@keelson/kernel/postgres'
import { z } from 'zod'
import { decideMove, STATUSES, type Mover, type Status } from './status.ts'

/** What a merchant asks for. */
export const newShipment = z.strictObject({
  to: z.string().trim().min(1).max(100),
  kg: z.number().positive().max(1000),
})

export type NewShipment = z.infer<typeof newShipment>

/** What merchants are told of a shipment. */
export const shipment = newShipment.extend({
  id: z.string(),
  merchant: z.string(),
  status: z.enum(STATUSES),
})

export type Shipment = Readonly<z.infer<typeof shipment>>

/** What a merchant changes of a shipment. */
export const shipmentPatch = shipment.pick({ status: true }).strict()

const words = z.string().trim().max(500)

/** What couriers see of a shipment, and what they write down at the door. */
export const parcel = newShipment.pick({ to: true }).extend({
  merchant: z.string(),
  /** Once it is not just booked. Delivered it is when it has a place. */
  status: z.enum(STATUSES).optional(),
  note: words.optional(),
  doorCode: words.optional(),
  /** Where it was left: it is delivered. */
  place: words.optional(),
})

export type Parcel = Readonly<z.infer<typeof parcel>>

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

export const deliveryColumns: Migration = {
  package: 'parcels',
  id: '0002_delivery',
  statements: ['alter table {schema}.shipments add column note text, add column door_code text, add column place text'],
}

export const originColumns: Migration = {
  package: 'parcels',
  id: '0003_origin',
  statements: [
    `alter table {schema}.shipments
  add column booked_at timestamptz not null default clock_timestamp(), add column correlation text`,
    'create index shipments_correlation on {schema}.shipments (correlation) where correlation is not null',
  ],
}

const COLUMNS = 'id::text as id, merchant, "to", kg, status'

/** Books a shipment: one row, which names the request that it came from. */
export async function bookShipment(
  tx: Tx,
  merchant: string,
  { to, kg }: NewShipment,
  correlationId?: string,
): Promise<Shipment> {
  const { rows } = await tx.query(
    `insert into parcels.shipments (merchant, "to", kg, correlation) values ($1, $2, $3, $4) returning ${COLUMNS}`,
    [merchant, to, kg, correlationId ?? null],
  )
  return rows[0] as Shipment
}

/** What a request has booked, without its address. `at` in ms of the database's clock. */
export async function bookedBy(
  tx: Tx,
  correlationId: string,
): Promise<readonly (Pick<Shipment, 'id' | 'merchant' | 'status'> & { readonly at: number })[]> {
  const { rows } = await tx.query(
    `select id::text as id, merchant, status, (extract(epoch from booked_at) * 1000)::float8 as at
from parcels.shipments s where correlation = $1 order by s.id limit 100`,
    [correlationId],
  )
  return rows as Awaited<ReturnType<typeof bookedBy>>
}

/** What couriers wrote down: one statement for all. */
export async function writeDown(tx: Tx, parcels: ReadonlyMap<string, Parcel>): Promise<void> {
  const all = [...parcels.values()]
  const column = (field: 'note' | 'doorCode' | 'place') => all.map((one) => one[field] ?? null)
  await tx.query(
    `update parcels.shipments s set note = x.note, door_code = x.door_code, place = x.place,
  status = case when x.place is not null then 'delivered' when s.place is not null then 'in-transit' else s.status end
from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as x(id, note, door_code, place) where s.id = x.id`,
    [[...parcels.keys()], column('note'), column('doorCode'), column('place')],
  )
}

/** What came of a move. */
export type Moved =
  | { readonly kind: 'moves' | 'is there'; readonly from: Status; readonly shipment: Shipment }
  | { readonly kind: 'refused'; readonly from: Status }
  | { readonly kind: 'unknown' }

/** Brings a shipment to another status; of a merchant only its own. The row is locked: two moves see each other. */
export async function moveShipment(tx: Tx, by: Mover, id: string, to: Status, merchant?: string): Promise<Moved> {
  if (!isId(id)) return { kind: 'unknown' }
  const { rows } = await tx.query(
    `select ${COLUMNS} from parcels.shipments where id = $1 and merchant = coalesce($2, merchant) for update`,
    [id, merchant ?? null],
  )
  const [held] = rows as Shipment[]
  if (held === undefined) return { kind: 'unknown' }
  const { status: from } = held
  const kind = decideMove(by, from, to)
  if (kind === 'refused') return { kind, from }
  if (kind === 'moves') await tx.query('update parcels.shipments set status = $2 where id = $1', [id, to])
  return { kind, from, shipment: { ...held, status: to } }
}

/** Takes back a shipment; undefined when the merchant has none of this id. */
export async function cancelShipment(tx: Tx, merchant: string, id: string): Promise<Shipment | undefined> {
  if (!isId(id)) return undefined
  const { rows } = await tx.query(
    `delete from parcels.shipments where merchant = $1 and id = $2 returning ${COLUMNS}`,
    [merchant, id],
  )
  return rows[0] as Shipment | undefined
}

/** All that is kept of a merchant's shipments, with what couriers wrote down. */
export async function allShipments(tx: Tx, merchant: string): Promise<object[]> {
  const { rows } = await tx.query('select * from parcels.shipments where merchant = $1 order by id', [merchant])
  return rows
}

/** Erases what a merchant has shipped; answers how many rows. */
export async function eraseShipments(tx: Tx, merchant: string): Promise<number> {
  const { rows } = await tx.query('delete from parcels.shipments where merchant = $1 returning 1', [merchant])
  return rows.length
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
    // By the column: `id` alone is the text of it, of which '100' comes before '99'.
    `select ${COLUMNS} from parcels.shipments s where merchant = $1 and id > $2 order by s.id limit $3`,
    [merchant, after, limit + 1],
  )
  const items = (rows as Shipment[]).slice(0, limit)
  return { items, next: rows.length > limit ? items.at(-1)!.id : null }
}

/** True for the text of a row's id. */
export function isId(text: string): boolean {
  return /^\d{1,18}$/.test(text)
}
