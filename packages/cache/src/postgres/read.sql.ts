import { leaseEpoch, leaseOf, leaseSnapshot } from './lease.ts'
import { epochOf, firstMovedSql, HARD, movedSql, NOT_OWN, openOf } from './rule.sql.ts'

/** A row of readSql or claimSql, in the order of the refs. */
export interface ReadRow {
  readonly is_hit: boolean
  /** Of a miss. */
  readonly lease: string | null
  /** Whether the lock is the caller's. */
  readonly locked: boolean
  /** Null: no entry that is valid, stale or not. */
  readonly stamp: string | null
  readonly codec: string
  readonly tags: string
  readonly fill: string
  readonly body: Uint8Array | null
  readonly load_ms: number
  readonly age_ms: number
  readonly ttl_ms: number
}

const COLUMNS = `coalesce(is_hit, false) as is_hit, case when is_hit then null else ${leaseOf('epoch')} end as lease,
  stamp, codec, tags, fill, body, load_ms, age_ms, ttl_ms`

/** Texts of a parameter. In a subquery the planner cannot count them: a plan for these values is then no better than one
 *  for any, which the server keeps. Planning such a statement takes it four times as long as running it. */
const listOf = (parameter: string): string => `(select string_to_array(${parameter}, E'\\n'))`

/** Invariant: one statement, so one snapshot: that of the lease is that of the validity. What the statement itself
 *  writes are locks, never a drop, so it cannot see itself as an invalidation. No row: there is no state yet.
 *  $1 name, $2 scopes, $3 keys, $4 true with bodies, $5 true to treat hits as misses. */
const foundSql = (schema: string, ref: string): string => {
  const entry = { schema, scope: 'c.scope', tags: 'c.tags', at: 'c.at', open: 'c.open' }
  return `found as (
select r.*, s.epoch, e.ends_at > statement_timestamp() and not $5::boolean as is_hit,
  coalesce(e.own[cardinality(e.own)], e.at)::text as stamp, e.codec, array_to_string(e.tags, E'\\n') as tags, e.fill,
  case when $4::boolean then e.body end as body, e.load_ms,
  (extract(epoch from statement_timestamp() - e.stored_at) * 1000)::float8 as age_ms,
  (extract(epoch from e.ends_at - statement_timestamp()) * 1000)::float8 as ttl_ms
from ${ref} as r
cross join (select ${epochOf('s')} as epoch, s.floor from ${schema}.cache_state s where s.name = $1) as s
left join lateral (
  select c.*, least(c.stale_at, case when c.moved then ${firstMovedSql({ ...entry, and: NOT_OWN })} end) as ends_at
  from (
    select c.*, ${movedSql({ ...entry, and: NOT_OWN })} as moved from ${schema}.cache_entry c
    where c.name = $1 and c.scope = r.scope and c.key = r.key and c.epoch = s.epoch
      and coalesce(c.open[1], c.at) > s.floor and c.gone_at > statement_timestamp() offset 0
  ) as c
  where not (c.moved and ${movedSql({ ...entry, and: `${NOT_OWN} and ${HARD}` })}) offset 0
) as e on e.ends_at + (e.gone_at - e.stale_at) > statement_timestamp()
)`
}

/** A hit, or a miss without a lock. */
export const readSql = (schema: string): string => {
  const ref = `(select * from unnest(${listOf('$2')}, ${listOf('$3')})
  with ordinality as given(scope, key, n))`
  return `with ${foundSql(schema, ref)}
select ${COLUMNS}, false as locked from found order by n`
}

/** The same, and the lock of each miss: it is had when it is free, has ended by itself, or when a declared tag was
 *  invalidated behind its holder's lease. In the order of the keys, so that two callers cannot wait for each other.
 *  $6 declared tags of each ref, $7 node, $8 lock in ms. */
export const claimSql = (schema: string): string => {
  const isFree = (
    held: string,
    epoch: string,
    declared: string,
  ): string => `(${held}.held_until <= statement_timestamp()
    or ${leaseEpoch(`${held}.lease`)} <> ${epoch}
    or ${movedSql({
      schema,
      scope: `${held}.scope`,
      tags: declared,
      at: `pg_snapshot_xmax(${leaseSnapshot(`${held}.lease`)})`,
      open: `(${openOf(leaseSnapshot(`${held}.lease`))})`,
      and: HARD,
    })})`
  const ref = `(select scope, key, string_to_array(tags, E'\\t') as declared, n from unnest(
  ${listOf('$2')}, ${listOf('$3')}, ${listOf('$6')}
) with ordinality as given(scope, key, tags, n))`
  return `with ${foundSql(schema, ref)}, missed as (
  select distinct on (scope collate "C", key collate "C") * from found where not coalesce(is_hit, false)
  order by scope collate "C", key collate "C", n
), locked as (
  insert into ${schema}.cache_lock as l (name, scope, key, node, lease, declared, held_until)
  select $1, m.scope, m.key, $7, ${leaseOf('m.epoch')}, m.declared,
    statement_timestamp() + $8::float8 * interval '1 ms'
  from missed m left join ${schema}.cache_lock h on h.name = $1 and h.scope = m.scope and h.key = m.key
  where h.key is null or ${isFree('h', 'm.epoch', 'm.declared')}
  order by m.scope collate "C", m.key collate "C"
  on conflict (name, scope, key) do update
  set node = excluded.node, lease = excluded.lease, declared = excluded.declared, held_until = excluded.held_until
  where ${isFree('l', leaseEpoch('excluded.lease'), 'excluded.declared')}
  returning scope, key
)
select ${COLUMNS}, won.n is not null as locked
from found f left join (select n from missed join locked using (scope, key)) as won using (n) order by n`
}
