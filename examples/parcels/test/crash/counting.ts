import type { Database } from '@keelson/kernel'
import type { Counts } from '../../../../tools/crash/scenario.ts'

/** Once, before anybody counts: what is looked up here is looked up by id elsewhere. */
export async function prepareCounting(db: Database): Promise<void> {
  for (const text of [
    `create function parcels.correlation(body bytea) returns text language sql immutable
  as $$ select convert_from(body, 'UTF8')::jsonb #>> '{audit,correlation}' $$`,
    'create index on keelson.audit_entry (parcels.correlation(body))',
    `create index on keelson.idempotency ((trace ->> 'correlationId'))`,
    'create index on parcels.shipments ("to")',
    'create table parcels.floor (round text primary key, after bigint not null)',
  ])
    await db.query(text)
}

/** Where the lists of a round begin, the same for all nodes. */
export async function floorOf(db: Database, round: string): Promise<string> {
  const { rows } = await db.query(
    `with made as (insert into parcels.floor select $1, coalesce(max(id), 0) from parcels.shipments
  on conflict do nothing returning after)
select after::text from made union all select after::text from parcels.floor where round = $1`,
    [round],
  )
  return (rows[0] as { after: string }).after
}

/** Of the requests of a write. What a cancelling one cancels was booked with the key `<key>-first`. */
export const correlationOf = (key: string): string => `crash-${key}`

/** What a write has left in the tables, by key. */
export async function countRows(db: Database, keys: readonly string[]): Promise<ReadonlyMap<string, Counts>> {
  const { rows } = await db.query(
    `select k.key,
  (select count(*)::int from keelson.idempotency i where i.trace ->> 'correlationId' = 'crash-' || k.key and state = 'done') as answers,
  (select count(*)::int from parcels.shipments s where s."to" = k.key) as shipments,
  (select count(*)::int from keelson.audit_entry a where parcels.correlation(a.body) = 'crash-' || k.key) as entries,
  (select count(*)::int from keelson.webhook_event e where e.correlation = 'crash-' || k.key) as events,
  (select count(*)::int from keelson.webhook_event e where e.correlation = 'crash-' || k.key || '-first') as booked,
  (select count(*)::int from parcels.shipments s join keelson.sync_record r on r.id = s.id::text
    where s."to" = k.key and r.c = 'parcel' and r.scope = 'm1/couriers' and r.deleted_h is null) as records,
  (select count(*)::int from keelson.webhook_event e join keelson.sync_record r on r.id = e.key
    where e.correlation = 'crash-' || k.key || '-first' and r.c = 'parcel' and r.scope = 'm1/couriers'
      and r.deleted_h is not null) as tombstones
from unnest($1::text[]) as k(key)`,
    [keys],
  )
  return new Map((rows as ({ key: string } & Counts)[]).map(({ key, ...counts }) => [key, counts]))
}

/** What is wrong with all tables together: a booking is a change, and so is its end; each has an entry and an answer. */
export async function countAll(db: Database): Promise<string | undefined> {
  const { rows } = await db.query(`select (select count(*)::int from parcels.shipments) as shipments,
  (select count(*)::int from keelson.webhook_event where type = 'shipment.created') as events,
  (select count(*)::int from keelson.audit_entry where parcels.correlation(body) like 'crash-%') as entries,
  (select count(*)::int from keelson.idempotency where state = 'done') as answers,
  (select count(*)::int from keelson.idempotency where state <> 'done') as unfinished,
  (select count(*)::int from keelson.sync_record where deleted_h is null) as records,
  (select count(*)::int from keelson.sync_record where deleted_h is not null) as tombstones`)
  const { shipments, events, entries, answers, unfinished, records, tombstones } = rows[0] as Record<string, number>
  const writes = events! + tombstones!
  const isWhole = shipments === records && events === records! + tombstones! && entries === writes && answers === writes
  return isWhole && unfinished === 0 ? undefined : JSON.stringify(rows[0])
}
