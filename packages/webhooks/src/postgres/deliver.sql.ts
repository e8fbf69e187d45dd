import { PLANNED } from './planned.ts'

/** Makes the deliveries of events, which the caller has marked as routed, and the lanes of handlers that are missing.
 *  Takes the locks of their lanes. p is a list of { n, s: scope, v: event, d: delivery, e: endpoint } in order of n. */
export const deliverSql: string = `create function {schema}.webhook_deliver(p json) returns void ${PLANNED} as $$
declare
  now_ms bigint := {schema}.webhook_now();
  lanes bigint[];
  h record;
  made bigint;
  is_paused boolean;
begin
  for h in
    select distinct r.s, r.e, o.rules, o.health, o.concurrency, o.lease_ms, o.rate_step_ms, o.rate_burst_ms
    from json_to_recordset(p) as r(s text, v text, e text) join {schema}.webhook_handler o on r.e = 'fn:' || o.name
    where not exists (select from {schema}.webhook_endpoint x where x.scope = r.s and x.id = r.e)
      and not exists (select from {schema}.webhook_event v where v.scope = r.s and v.id = r.v and v.erased)
    order by r.s, r.e
  loop
    insert into {schema}.webhook_audience (scope) values (h.s) on conflict do nothing;
    select a.paused into is_paused from {schema}.webhook_audience a where a.scope = h.s for update;
    continue when exists (select from {schema}.webhook_endpoint x where x.scope = h.s and x.id = h.e);
    insert into {schema}.webhook_lane (class, concurrency, rate_step_ms, rate_burst_ms, lease_ms, state,
        scope_paused, held_since_ms, oldest_ms, rules, health)
      values (h.e, h.concurrency, h.rate_step_ms, h.rate_burst_ms, h.lease_ms, 'active', is_paused,
        case when is_paused then now_ms end, case when is_paused then now_ms end, h.rules, h.health)
      returning lane into made;
    insert into {schema}.webhook_endpoint (scope, id, lane, config, secrets, created_ms, updated_ms)
      values (h.s, h.e, made, '', '[]', now_ms, now_ms);
  end loop;
  lanes := array(select e.lane from json_to_recordset(p) as r(s text, e text)
    join {schema}.webhook_endpoint e on e.scope = r.s and e.id = r.e);
  perform 1 from {schema}.webhook_lane l where l.lane = any(lanes) order by l.lane for update;
  insert into {schema}.webhook_delivery (scope, id, lane, endpoint, event, seq, type, key, line, waits, due_ms, created_ms,
      kept_ms)
    select o.s, o.d, o.lane, o.e, o.v, o.seq, o.type, o.key,
      case when o.key is not null then nextval('{schema}.webhook_line') end,
      o.key is not null and (o.nth > 1 or exists (
        select from {schema}.webhook_delivery k where k.lane = o.lane and k.key = o.key and k.line is not null)),
      greatest(now_ms, o.not_before_ms), now_ms, now_ms
    from (
      select r.*, e.lane, v.seq, v.type, v.key, v.not_before_ms,
        row_number() over (partition by e.lane, v.key order by r.n) as nth
      from json_to_recordset(p) as r(n integer, s text, v text, d text, e text)
      join {schema}.webhook_event v on v.scope = r.s and v.id = r.v and not v.erased
      join {schema}.webhook_endpoint e on e.scope = r.s and e.id = r.e
      join {schema}.webhook_lane l on l.lane = e.lane and l.removed_ms is null
      order by r.n
    ) as o order by o.n;
  perform {schema}.webhook_refresh(lanes, now_ms);
end $$`
