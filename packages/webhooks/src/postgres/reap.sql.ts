import { PLANNED } from './planned.ts'

/** Ends leases that are over: pending again with nothing spent, or dead as poison when it was the fifth in a row. Never
 *  waits for anybody: who holds a lane may stand still, and every node comes by here. The next turn finds what is left. */
export const reapSql: string = `create function {schema}.webhook_reap(p_limit integer)
returns table (scope text, endpoint text, delivery text, event text, type text, dead boolean) ${PLANNED} as $$
#variable_conflict use_column
declare
  now_ms bigint := {schema}.webhook_now();
  lanes bigint[];
  keyed_lanes bigint[];
  keys text[];
  low_ms bigint;
begin
  lanes := array(select o.lane from (
    select e.lane from {schema}.webhook_lease e where e.end_ms <= now_ms order by e.end_ms limit p_limit) as o);
  select array_agg(o.lane) into lanes from (
    select l.lane from {schema}.webhook_lane l where l.lane = any(lanes) order by l.lane for update skip locked) as o;
  if lanes is null then return; end if;
  select array_agg(d.lane), array_agg(d.key) into keyed_lanes, keys from {schema}.webhook_lease e
    join {schema}.webhook_delivery d on d.scope = e.scope and d.id = e.id
    where e.end_ms <= now_ms and e.lane = any(lanes) and d.key is not null and d.crashes >= 4;
  select min(d.due_ms) into low_ms from {schema}.webhook_lease e
    join {schema}.webhook_delivery d on d.scope = e.scope and d.id = e.id
    where e.end_ms <= now_ms and e.lane = any(lanes);
  return query with over as materialized (
    select e.scope, e.id, e.lane, e.fence, e.redriven, e.end_ms, l.lease_ms from {schema}.webhook_lease e
    join {schema}.webhook_lane l on l.lane = e.lane
    where e.end_ms <= now_ms and e.lane = any(lanes) order by e.end_ms limit p_limit
  ), lost as (
    delete from {schema}.webhook_lease e using over o where e.scope = o.scope and e.id = o.id
  ), ended as (
    update {schema}.webhook_delivery d set crashes = d.crashes + 1, fence = o.fence,
      failed = case when d.crashes >= 4 then 'dead' end,
      reason = case when d.crashes >= 4 then 'poison' end,
      finished_ms = case when d.crashes >= 4 then now_ms end,
      kept_ms = case when d.crashes >= 4 then now_ms else d.kept_ms end,
      line = case when d.crashes < 4 then d.line end,
      redriven = d.redriven and d.crashes < 4
    from over o where d.scope = o.scope and d.id = o.id
    returning d.*, o.end_ms, o.lease_ms, o.redriven as again
  ), logged as (
    insert into {schema}.webhook_attempt (scope, delivery, fence, number, at_ms, duration_ms, outcome)
    select e.scope, e.id, e.fence, e.attempts + 1, e.end_ms - e.lease_ms, e.lease_ms, 'crashed' from ended e
  ), freed as (
    update {schema}.webhook_lane l set in_flight = l.in_flight - f.n, redriven = l.redriven - f.again
    from (select e.lane, count(*)::integer as n, count(*) filter (where e.again)::integer as again
      from ended e group by e.lane) as f
    where l.lane = f.lane
  )
  select e.scope, e.endpoint, e.id, e.event, e.type, e.failed is not null from ended e order by e.end_ms;
  perform {schema}.webhook_promote(keyed_lanes, keys);
  perform {schema}.webhook_refresh(lanes, least(now_ms, low_ms));
end $$`
