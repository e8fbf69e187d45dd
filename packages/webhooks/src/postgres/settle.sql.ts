import { PLANNED } from './planned.ts'

/** Locks the lanes of deliveries, then reads both as they are behind the locks. The decision is taken in between this
 *  and webhook_write, by lane.ts. p is a list of { s: scope, d: delivery }. A delivery that nobody attempts has no fence,
 *  one whose endpoint is gone no lane. */
export const loadSql: string = `create function {schema}.webhook_load(p json)
returns table (scope text, id text, fence text, attempts integer, spent integer, again boolean, key text,
  lane float8, in_flight integer, redriven integer, rate_used_ms float8, width integer, suspect boolean, class text,
  state text, disabled_reason text, revision integer, scope_paused boolean, held_since_ms float8, oldest_ms float8,
  rules text, health text, now_ms float8) ${PLANNED} as $$
#variable_conflict use_column
begin
  perform 1 from {schema}.webhook_lane l where l.lane = any(array(
    select d.lane from json_to_recordset(p) as t(s text, d text)
    join {schema}.webhook_delivery d on d.scope = t.s and d.id = t.d)) order by l.lane for update;
  return query select d.scope, d.id, e.fence::text, d.attempts, d.spent, d.redriven, d.key,
    l.lane::float8, l.in_flight, l.redriven, l.rate_used_ms, l.width, l.suspect, l.class, l.state, l.disabled_reason,
    l.revision, l.scope_paused, l.held_since_ms::float8, l.oldest_ms::float8, l.rules, l.health, n.ms::float8
  from (select {schema}.webhook_now()) as n(ms), json_to_recordset(p) as t(s text, d text)
  join {schema}.webhook_delivery d on d.scope = t.s and d.id = t.d
  left join {schema}.webhook_lease e on e.scope = d.scope and e.id = d.id
  left join {schema}.webhook_lane l on l.lane = d.lane and l.removed_ms is null;
end $$`

/** Writes what was decided, under locks that webhook_load took. An attempt of a lost lease takes the place of a crashed
 *  one; a repeat adds none. */
export const writeSql: string = `create function {schema}.webhook_write(p_lanes json, p_deliveries json, p_attempts json)
returns void ${PLANNED} as $$
declare
  now_ms bigint := {schema}.webhook_now();
begin
  with ended as (
    delete from {schema}.webhook_lease e using json_to_recordset(p_deliveries) as v(s text, d text)
    where e.scope = v.s and e.id = v.d
  )
  update {schema}.webhook_delivery d set failed = v.failed, reason = v.reason, attempts = v.attempts, spent = v.spent,
    crashes = case when v.tried then 0 else d.crashes end, fence = v.fence, due_ms = coalesce(v.due_ms, d.due_ms),
    finished_ms = v.finished_ms, kept_ms = coalesce(v.finished_ms, d.kept_ms),
    line = case when v.finished_ms is null then d.line end, redriven = d.redriven and v.finished_ms is null
  from json_to_recordset(p_deliveries) as v(s text, d text, failed text, reason text, attempts integer, spent integer,
    tried boolean, fence bigint, due_ms bigint, finished_ms bigint)
  where d.scope = v.s and d.id = v.d;
  if exists (select from json_to_recordset(p_deliveries) as v(line text) where v.line is not null) then
    perform {schema}.webhook_promote(array_agg(v.lane), array_agg(v.line))
    from json_to_recordset(p_deliveries) as v(lane bigint, line text) where v.line is not null;
  end if;
  insert into {schema}.webhook_attempt
    select v.s, v.d, v.fence, v.number, v.at_ms, v.duration_ms, v.outcome, v.status, v.remote, v.response, v.error
    from json_to_recordset(p_attempts) as v(s text, d text, fence bigint, number integer, at_ms bigint,
      duration_ms float8, outcome text, status integer, remote text, response text, error text, late boolean)
    where not v.late;
  if exists (select from json_to_recordset(p_attempts) as v(late boolean) where v.late) then
    perform {schema}.webhook_late(v.value) from json_array_elements(p_attempts) as v
    where (v.value->>'late')::boolean;
  end if;
  update {schema}.webhook_lane l set class = v.class, suspect = v.suspect, state = v.state,
    disabled_reason = v.disabled_reason, revision = v.revision, held_since_ms = v.held_since_ms, oldest_ms = v.oldest_ms,
    in_flight = v.in_flight, redriven = v.redriven, width = v.width, concurrency = v.concurrency, capacity = v.capacity,
    again_capacity = v.again_capacity, until_ms = v.until_ms, rate_used_ms = v.rate_used_ms,
    rate_step_ms = v.rate_step_ms, rate_burst_ms = v.rate_burst_ms, lease_ms = v.lease_ms,
    rules = coalesce(v.rules, l.rules), health = v.health
  from json_to_recordset(p_lanes) as v(lane bigint, class text, suspect boolean, state text, disabled_reason text,
    revision integer, held_since_ms bigint, oldest_ms bigint, in_flight integer, redriven integer, width integer,
    concurrency integer, capacity integer, again_capacity integer, until_ms float8, rate_used_ms float8,
    rate_step_ms float8, rate_burst_ms float8, lease_ms bigint, rules text, health text)
  where l.lane = v.lane;
  perform {schema}.webhook_refresh((select array_agg(v.lane) from json_to_recordset(p_lanes) as v(lane bigint)),
    least(now_ms, (select min(v.due_ms) from json_to_recordset(p_deliveries) as v(due_ms bigint))));
end $$`

/** Keeps one attempt of a lost lease, once. */
export const lateSql: string = `create function {schema}.webhook_late(p json) returns void ${PLANNED} as $$
declare
  v record;
begin
  select x.*, case when e.erased then null else x.response end as answer into v
    from json_to_record(p) as x(s text, d text, fence bigint, number integer, at_ms bigint, duration_ms float8,
      status integer, remote text, response text, error text)
    join {schema}.webhook_delivery d on d.scope = x.s and d.id = x.d
    join {schema}.webhook_event e on e.scope = d.scope and e.id = d.event;
  if not found then return; end if;
  update {schema}.webhook_attempt a set at_ms = v.at_ms, duration_ms = v.duration_ms, outcome = 'stale',
    status = v.status, remote_address = v.remote, response = v.answer, error = v.error
  where a.scope = v.s and a.delivery = v.d and a.fence = v.fence and a.outcome = 'crashed';
  if found then return; end if;
  insert into {schema}.webhook_attempt
    select v.s, v.d, v.fence, v.number, v.at_ms, v.duration_ms, 'stale', v.status, v.remote, v.answer, v.error
    where not exists (select from {schema}.webhook_attempt a
      where a.scope = v.s and a.delivery = v.d and a.fence = v.fence);
end $$`
