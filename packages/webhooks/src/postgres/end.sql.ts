import { waitingOf } from './next-due.ts'
import { PLANNED } from './planned.ts'

/** Ends open deliveries from outside, leased ones too, and says how many. Takes the locks of their lanes.
 *  p is a list of { s: scope, d: delivery }. */
export const endSql: string = `create function {schema}.webhook_end(p json, p_status text, p_reason text)
returns integer ${PLANNED} as $$
declare
  now_ms bigint;
  ended integer;
  lanes bigint[];
  keyed_lanes bigint[];
  keys text[];
begin
  lanes := array(select distinct d.lane from json_to_recordset(p) as t(s text, d text)
    join {schema}.webhook_delivery d on d.scope = t.s and d.id = t.d);
  perform 1 from {schema}.webhook_lane l where l.lane = any(lanes) order by l.lane for update;
  now_ms := {schema}.webhook_now();
  with open as materialized (
    select d.scope, d.id, d.lane, d.key, d.redriven, e.fence from json_to_recordset(p) as t(s text, d text)
    join {schema}.webhook_delivery d on d.scope = t.s and d.id = t.d
    left join {schema}.webhook_lease e on e.scope = d.scope and e.id = d.id where d.finished_ms is null
  ), changed as (
    update {schema}.webhook_delivery d set failed = p_status, reason = p_reason, fence = coalesce(o.fence, d.fence),
      line = null, redriven = false, finished_ms = now_ms, kept_ms = now_ms
    from open o where d.scope = o.scope and d.id = o.id
  ), lost as (
    delete from {schema}.webhook_lease e using open o where o.fence is not null and e.scope = o.scope and e.id = o.id
  ), leased as (
    select o.lane, count(*)::integer as n, count(*) filter (where o.redriven)::integer as again from open o
    where o.fence is not null group by o.lane
  ), freed as (
    update {schema}.webhook_lane l set in_flight = l.in_flight - f.n, redriven = l.redriven - f.again
    from leased f where l.lane = f.lane
  )
  select count(*), array_agg(o.lane) filter (where o.key is not null), array_agg(o.key) filter (where o.key is not null)
    into ended, keyed_lanes, keys from open o;
  perform {schema}.webhook_promote(keyed_lanes, keys);
  perform {schema}.webhook_refresh(lanes, now_ms);
  return ended;
end $$`

/** Cancels at most p_limit open deliveries of a scope, and says how many. Null is any. */
export const cancelSql: string = `create function {schema}.webhook_cancel(p_scope text, p_id text, p_endpoint text,
  p_limit integer) returns integer ${PLANNED} as $$
begin
  return {schema}.webhook_end((
    select coalesce(json_agg(o), '[]') from (
      select o.scope as s, o.id as d from {schema}.webhook_endpoint e
      join {schema}.webhook_lane l on l.lane = e.lane cross join lateral (
        select q.scope, q.id from {schema}.webhook_lease q where q.lane = l.lane
        union all ${waitingOf('q.scope, q.id')}) as o
      where p_id is null and e.scope = p_scope and e.id = coalesce(p_endpoint, e.id)
      union all
      select d.scope, d.id from {schema}.webhook_delivery d
      join {schema}.webhook_endpoint e on e.lane = d.lane
      where d.scope = p_scope and d.id = p_id and d.endpoint = coalesce(p_endpoint, d.endpoint)
        and d.finished_ms is null
      limit p_limit) as o), 'cancelled', null);
end $$`

/** Removes an endpoint, and cancels its leased deliveries and at most p_limit of the others: the sweep does the rest,
 *  and whoever reads them is told so already. */
export const removeSql: string = `create function {schema}.webhook_remove(p_scope text, p_id text, p_limit integer)
returns boolean ${PLANNED} as $$
declare
  gone bigint;
begin
  insert into {schema}.webhook_audience (scope) values (p_scope) on conflict do nothing;
  perform 1 from {schema}.webhook_audience a where a.scope = p_scope for update;
  select e.lane into gone from {schema}.webhook_endpoint e where e.scope = p_scope and e.id = p_id;
  if gone is null then return false; end if;
  perform 1 from {schema}.webhook_lane l where l.lane = gone for update;
  delete from {schema}.webhook_endpoint e where e.scope = p_scope and e.id = p_id;
  update {schema}.webhook_lane l set removed_ms = {schema}.webhook_now(), next_due = null, oldest_ms = null
    where l.lane = gone;
  update {schema}.webhook_audience a set revision = a.revision + 1 where a.scope = p_scope;
  perform {schema}.webhook_end((
    select coalesce(json_agg(o), '[]') from (
      select e.scope as s, e.id as d from {schema}.webhook_lease e where e.lane = gone
      union all
      (select o.scope, o.id from {schema}.webhook_lane l cross join lateral (${waitingOf('q.scope, q.id')}) as o
        where l.lane = gone limit p_limit)) as o), 'cancelled', null);
  return true;
end $$`
