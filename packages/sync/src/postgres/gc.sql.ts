import { PLANNED } from './planned.ts'

/**
 * Removes up to p_batch tombstones and as many results, oldest first. One transaction moves the horizon and removes what
 * is below it, so no pull sees the one without the other. A floor is below it that does not see a version which gc saw:
 * `horizon_seen` tells these from transactions that are open since then. What others hold waits for the next time.
 */
export const gcSql: string = `create function {schema}.sync_gc(p_tombstones_ms float8, p_ops_ms float8, p_batch integer)
returns table (tombstones float8, ops float8) ${PLANNED} as $$
declare
  now_ms bigint := {schema}.sync_now();
  places tid[];
  last_tx xid8;
  last_ms bigint;
begin
  perform 1 from {schema}.sync_meta for update;
  select array_agg(o.ctid), max(o.tx::text::numeric)::text::xid8, max(o.at_ms),
    count(*) into places, last_tx, last_ms, tombstones
  from (select r.ctid, r.tx, r.at_ms from {schema}.sync_record r where r.gone is not null and r.at_ms <= now_ms - p_tombstones_ms
    order by r.at_ms limit p_batch for update skip locked) as o;
  if tombstones > 0 then
    update {schema}.sync_meta m set horizon = greatest(m.horizon, (last_tx::text::numeric + 1)::text::xid8),
      horizon_seen = pg_current_snapshot(), horizon_ms = greatest(m.horizon_ms, last_ms);
    delete from {schema}.sync_record r where r.ctid = any(places);
  end if;
  with old as (
    delete from {schema}.sync_op o where o.ctid = any(array(select f.ctid from {schema}.sync_op f
      where f.at_ms <= now_ms - p_ops_ms order by f.at_ms limit p_batch for update skip locked))
    returning 1
  )
  select count(*) into ops from old;
  return next;
end $$`
