import { leaseEpoch, leaseSnapshot, leaseTime } from './lease.ts'
import { epochOf, HARD, movedSql, openOf } from './rule.sql.ts'

const COLUMNS = 'epoch, at, open, own, fill, codec, tags, body, load_ms, stored_at, stale_at, gone_at'

/** What an entry brings, from parameter `$first` on: fill, codec, tags, body, ttl ms, grace ms, load ms. */
function entryFrom(first: number): string {
  const [fill, codec, tags, body, ttl, grace, load] = Array.from({ length: 7 }, (_, i) => `$${first + i}`)
  return `(select ${fill}::text as fill, ${codec}::text as codec, string_to_array(${tags}, E'\\n') as tags,
  ${body}::bytea as body, ${load}::float8 as load_ms, statement_timestamp() as stored_at,
  statement_timestamp() + ${ttl}::float8 * interval '1 ms' as stale_at,
  statement_timestamp() + (${ttl}::float8 + ${grace}::float8) * interval '1 ms' as gone_at)`
}

/** Over what is there as `c`. */
function upsert(schema: string, o: { select: string; own: string; where: string }): string {
  const set = COLUMNS.split(', ').map((column) => `${column} = ${column === 'own' ? o.own : `excluded.${column}`}`)
  return `insert into ${schema}.cache_entry as c (name, scope, key, ${COLUMNS}) ${o.select}
on conflict (name, scope, key) do update set ${set.join(', ')} where ${o.where} returning 1`
}

/** Invariant: an entry that is older than any of its tags is never seen. What was invalidated so far is refused here;
 *  what is invalidated by a transaction that is open now, or begins later, is found by each read. Of those that the
 *  lease found open the entry keeps the ones that still are: the others have had their say.
 *
 *  What is there stays when it is newer, or of a `put` that the lease has not seen: that is known from the row even
 *  while the snapshot of this statement does not see it.
 *  $1 name, $2 scope, $3 key, $4 lease, $5 node, $6 to $12 the entry, $13 maxLoad in ms. */
export const fillSql = (schema: string): string => `with given as materialized (
  select ${leaseEpoch('$4')} as epoch, ${leaseSnapshot('$4')} as seen, ${leaseTime('$4')} as read_at, e.*
  from ${entryFrom(6)} as e
), unlocked as (
  delete from ${schema}.cache_lock where name = $1 and scope = $2 and key = $3 and lease = $4 and node = $5
), stored as (
  ${upsert(schema, {
    select: `select $1, $2, $3, g.epoch, pg_snapshot_xmax(g.seen),
    array(select x from pg_snapshot_xip(g.seen) as x where not pg_visible_in_snapshot(x, pg_current_snapshot())),
    '{}'::xid8[], g.fill, g.codec, g.tags, g.body, g.load_ms, g.stored_at, g.stale_at, g.gone_at
  from given g join ${schema}.cache_state s on s.name = $1
  where ${epochOf('s')} = g.epoch and pg_snapshot_xmin(g.seen) > s.floor
    and g.stored_at - g.read_at <= $13::float8 * interval '1 ms'
    and not ${movedSql({
      schema,
      scope: '$2',
      tags: 'g.tags',
      at: 'pg_snapshot_xmax(g.seen)',
      open: `(${openOf('g.seen')})`,
      and: HARD,
    })}`,
    own: 'excluded.own',
    where: `c.epoch <> excluded.epoch or c.at <= excluded.at and (cardinality(c.own) = 0
    or pg_visible_in_snapshot(c.own[cardinality(c.own)], ${leaseSnapshot('$4')}))`,
  })}
)
select exists (select 1 from stored) as stored`

/** Invalidates a key, and stores what is true from then on: `own` has the invalidation that the entry knows of. It
 *  replaces what is there: who came to the row before it has not seen it. Of puts at once the last one stays, and
 *  knows of those that it has replaced.
 *  $1 name, $2 scope, $3 key, $4 tag of the key, $5 to $11 the entry. */
export const putSql = (schema: string): string => `with dropped as (
  insert into ${schema}.cache_drop (name, scope, tag) values ($1, $2, $4) returning xid
), stored as (
  ${upsert(schema, {
    select: `select $1, $2, $3, ${epochOf('s')}, pg_snapshot_xmax(pg_current_snapshot()),
    ${openOf('pg_current_snapshot()')}, array[d.xid], e.fill, e.codec, e.tags, e.body, e.load_ms,
    e.stored_at, e.stale_at, e.gone_at
  from dropped d cross join ${entryFrom(5)} as e join ${schema}.cache_state s on s.name = $1`,
    own: `array(select x from unnest(c.own) as x where not pg_visible_in_snapshot(x, pg_current_snapshot()))
    || excluded.own`,
    where: 'true',
  })}
)
select xid::text as stamp, exists (select 1 from ${schema}.cache_state where name = $1) as has_state from dropped`
