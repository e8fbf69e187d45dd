import { waitingOf } from './next-due.ts'
import { PLANNED } from './planned.ts'

/** Removes what is over, at most about p_limit rows, and ends what was held too long; answers how many. */
export const sweepSql: string = `create function {schema}.webhook_sweep(p_limit integer, p_deliveries_ms bigint,
  p_events_ms bigint, p_held_ms bigint) returns integer ${PLANNED} as $$
declare
  now_ms bigint := {schema}.webhook_now();
  l record;
  swept integer := 0;
  n integer;
  put_off integer;
  looked integer := 0;
begin
  -- What an endpoint that is gone has left.
  for l in select x.lane, x.first_ms from {schema}.webhook_lane x where x.removed_ms is not null for update skip locked loop
    n := {schema}.webhook_end((select coalesce(json_agg(o), '[]') from (
      select o.scope as s, o.id as d from (${waitingOf('q.scope, q.id')}) as o limit p_limit - swept) as o),
      'cancelled', null);
    swept := swept + n;
    if swept >= p_limit then return swept; end if;
    delete from {schema}.webhook_lane x where x.lane = l.lane;
  end loop;
  -- oldest_ms is a lower bound of the age of what a held lane has.
  for l in select x.lane, x.held_since_ms, x.first_ms from {schema}.webhook_lane x where x.oldest_ms <= now_ms - p_held_ms
    order by x.oldest_ms for update skip locked
  loop
    n := {schema}.webhook_end((select coalesce(json_agg(o), '[]') from (
      select d.scope as s, d.id as d from (${waitingOf('q.scope, q.id, q.created_ms')}) as d
      where greatest(d.created_ms, l.held_since_ms) <= now_ms - p_held_ms
      limit p_limit - swept) as o), 'dead', 'expired');
    swept := swept + n;
    if swept >= p_limit then return swept; end if;
    update {schema}.webhook_lane x set oldest_ms = (
      select coalesce(min(greatest(d.created_ms, l.held_since_ms)), now_ms) from (${waitingOf('q.created_ms')}) as d)
    where x.lane = l.lane;
  end loop;
  -- kept_ms is a lower bound of when a delivery has ended: what is still open, or has ended since, is looked at again.
  loop
    with seen as materialized (
      select x.scope, x.id, coalesce(x.finished_ms, now_ms + 1) as ms from {schema}.webhook_delivery x
      where x.kept_ms <= now_ms - p_deliveries_ms order by x.kept_ms limit p_limit - swept for update skip locked
    ), gone as (
      delete from {schema}.webhook_delivery d using seen s
      where s.ms <= now_ms - p_deliveries_ms and d.scope = s.scope and d.id = s.id returning 1
    ), later as (
      update {schema}.webhook_delivery d set kept_ms = s.ms from seen s
      where s.ms > now_ms - p_deliveries_ms and d.scope = s.scope and d.id = s.id returning 1
    )
    select (select count(*) from gone), (select count(*) from later) into n, put_off;
    swept := swept + n;
    looked := looked + put_off;
    -- Who looked at so many counts it as work: there may be more.
    if looked >= p_limit then return swept + 1; end if;
    exit when put_off = 0 or swept >= p_limit;
  end loop;
  with gone as (
    delete from {schema}.webhook_event e where (e.scope, e.id) in (
      select x.scope, x.id from {schema}.webhook_event x where x.created_ms <= now_ms - p_events_ms and x.routed
      and not exists (select from {schema}.webhook_delivery d where d.scope = x.scope and d.event = x.id)
      order by x.created_ms limit p_limit - swept for update skip locked) returning 1)
  select count(*) into n from gone;
  delete from {schema}.webhook_redrive x where x.state = 'done' and x.started_ms <= now_ms - p_deliveries_ms;
  with told as (delete from {schema}.webhook_conflict returning 1), counted as (select count(*) as n from told)
  update {schema}.webhook_state s set conflicts = s.conflicts + counted.n from counted where counted.n > 0;
  return swept + n;
end $$`
