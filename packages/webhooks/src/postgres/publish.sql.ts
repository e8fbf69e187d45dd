import { PLANNED } from './planned.ts'

/** Writes events, each as it stands after those before it: 'fresh', 'duplicate' or 'conflict' of each, in order. The
 *  first one of an id stays. Touches the table of events alone; with p_deliveries, events whose list is not empty and
 *  whose scope has nothing unrouted are routed too, if their revision still is the one of the audience.
 *
 *  p_bodies are all bytes behind each other, so that no driver's idea of lists is asked. p_noted: nobody hears of a
 *  conflict, so it becomes a row. */
export const publishSql: string = `create function {schema}.webhook_publish(p_events json, p_bodies bytea,
  p_deliveries json, p_noted boolean) returns text ${PLANNED} as $$
declare
  now_ms bigint := {schema}.webhook_now();
  e record;
  known text;
  at integer := 1;
  direct boolean;
  kinds text := '';
  matched integer[] := '{}';
begin
  for e in select * from json_to_recordset(p_events) as r(n integer, scope text, id text, type text, bytes integer,
    digest text, key text, channel text, subject text, not_before_ms bigint, endpoint text, correlation text,
    traceparent text, revision text) order by r.n
  loop
    -- A hundred that wait are as good as one of this scope: what is busy goes the long way.
    direct := e.revision is not null
      and e.revision = (select coalesce((select a.revision from {schema}.webhook_audience a where a.scope = e.scope), 0)
        || ':' || s.handlers_revision from {schema}.webhook_state s)
      and (select count(*) < 100 and coalesce(bool_and(u.scope <> e.scope), true) from (
        select v.scope from {schema}.webhook_event v where not v.routed order by v.seq limit 100) as u);
    insert into {schema}.webhook_event (scope, id, type, body, digest, key, channel, subject, not_before_ms, endpoint,
        correlation, traceparent, created_ms, routed)
      values (e.scope, e.id, e.type, substring(p_bodies from at for e.bytes), e.digest, e.key, e.channel, e.subject,
        e.not_before_ms, e.endpoint, e.correlation, e.traceparent, now_ms, direct)
      on conflict do nothing;
    at := at + e.bytes;
    if found then
      kinds := kinds || 'f';
      if direct then matched := matched || e.n; end if;
    else
      select v.digest into known from {schema}.webhook_event v where v.scope = e.scope and v.id = e.id;
      kinds := kinds || case when known = e.digest then 'd' else 'c' end;
      if p_noted and known <> e.digest then
        insert into {schema}.webhook_conflict (scope, id, at_ms) values (e.scope, e.id, now_ms);
      end if;
    end if;
  end loop;
  if cardinality(matched) > 0 then
    perform {schema}.webhook_deliver((select coalesce(json_agg(d), '[]') from json_array_elements(p_deliveries) as d
      where (d->>'of')::integer = any(matched)));
  end if;
  return kinds;
end $$`
