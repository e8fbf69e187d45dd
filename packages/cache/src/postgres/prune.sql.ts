import { BY_AGE } from './rule.sql.ts'

/** Deletes drops that no entry needs any more, oldest first, and raises the floor to the highest of them in the same
 *  statement: who sees them gone sees the floor. It stops below the oldest open transaction, whose drops would come
 *  behind the floor. One caller at a time; nothing waits for it.
 *  $1 name, $2 age in ms, $3 how many. */
export const pruneSql = (schema: string): string => `with state as (
  select name from ${schema}.cache_state where name = $1 for update skip locked
), oldest as (
  select d.ctid, d.xid, d.at from ${schema}.cache_drop d
  where d.name = $1 and ${BY_AGE} < pg_snapshot_xmin(pg_current_snapshot())
  order by ${BY_AGE} limit $3::int
), old as materialized (
  select oldest.* from state cross join oldest where at < statement_timestamp() - $2::float8 * interval '1 ms'
), raised as (
  update ${schema}.cache_state s set floor = greatest(s.floor, (select max(xid) from old))
  where s.name = $1 and exists (select 1 from old)
), deleted as (
  delete from ${schema}.cache_drop d using old where d.ctid = old.ctid
)
select count(*)::int as count from old`

/** Deletes entries and locks whose time is over. $1 name, $2 how many. */
export const sweepSql = (schema: string): string => `with unlocked as (
  delete from ${schema}.cache_lock where name = $1 and held_until < statement_timestamp() - interval '1 min'
), gone as (
  delete from ${schema}.cache_entry where ctid = any(array(
    select ctid from ${schema}.cache_entry where name = $1 and gone_at <= statement_timestamp()
    order by gone_at limit $2::int for update skip locked
  )) returning 1
)
select count(*)::int as count from gone`
