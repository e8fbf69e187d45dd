import { PLANNED } from './planned.ts'

/** As SQL: the revision of the audience of a scope. */
const revisionOf = (scope: string): string => `(select coalesce((select a.revision from {schema}.webhook_audience a
  where a.scope = ${scope}), 0) || ':' || s.handlers_revision from {schema}.webhook_state s)`

/** Leases scopes to one router each, and hands it their committed events, oldest first. An event is found by its own
 *  mark and not by a place to read on from: a transaction that commits late is late, and holds nobody else up. */
export const takeSql: string = `create function {schema}.webhook_take(p_limit integer, p_lease_ms bigint, p_token text)
returns table (scope text, id text, type text, body bytea, key text, channel text, subject text, endpoint text,
  correlation text, traceparent text, created_ms float8, erased boolean, revision text) ${PLANNED} as $$
declare
  now_ms bigint;
  seqs bigint[];
begin
  -- One at a time: two would find the same scopes free.
  perform pg_advisory_xact_lock(hashtext('{schema}.webhook_take'));
  now_ms := {schema}.webhook_now();
  seqs := array(select e.seq from {schema}.webhook_event e
    where not e.routed and not exists (
      select from {schema}.webhook_router r where r.scope = e.scope and r.ends_ms > now_ms)
    order by e.seq limit p_limit);
  insert into {schema}.webhook_router as r (scope, token, ends_ms)
    select distinct e.scope, p_token, now_ms + p_lease_ms from {schema}.webhook_event e
    where not e.routed and e.seq = any(seqs)
    on conflict on constraint webhook_router_pkey do update set token = excluded.token, ends_ms = excluded.ends_ms;
  return query select e.scope, e.id, e.type, e.body, e.key, e.channel, e.subject, e.endpoint, e.correlation,
      e.traceparent, e.created_ms::float8, e.erased, ${revisionOf('e.scope')}
    from {schema}.webhook_event e where not e.routed and e.seq = any(seqs) order by e.seq;
end $$`

/** Makes deliveries of events, each once and only for the router that has their scope: 'ok', 'stale' or 'moved' of each,
 *  in order, as its first letter. A router that was told of nothing that moved gives its scopes back.
 *  p_routes is a list of { n, s: scope, v: event, token, revision }, p_deliveries as webhook_deliver takes it, with `of`
 *  their route. */
export const routeSql: string = `create function {schema}.webhook_route(p_routes json, p_deliveries json)
returns text ${PLANNED} as $$
declare
  r record;
  kinds text := '';
  routed integer[] := '{}';
  moved text[] := '{}';
begin
  perform 1 from {schema}.webhook_router o
    where o.scope in (select x.s from json_to_recordset(p_routes) as x(s text)) order by o.scope for update;
  for r in select x.*, o.token as own, ${revisionOf('x.s')} as now_revision
    from json_to_recordset(p_routes) as x(n integer, s text, v text, token text, revision text)
    left join {schema}.webhook_router o on o.scope = x.s order by x.n
  loop
    if r.own is distinct from r.token
      or not exists (select from {schema}.webhook_event e where e.scope = r.s and e.id = r.v and not e.routed) then
      kinds := kinds || 's';
    elsif r.revision <> r.now_revision then
      kinds := kinds || 'm';
      moved := moved || r.s;
    else
      update {schema}.webhook_event e set routed = true where e.scope = r.s and e.id = r.v;
      kinds := kinds || 'o';
      routed := routed || r.n;
    end if;
  end loop;
  perform {schema}.webhook_deliver((select coalesce(json_agg(d), '[]') from json_array_elements(p_deliveries) as d
    where (d->>'of')::integer = any(routed)));
  delete from {schema}.webhook_router o using json_to_recordset(p_routes) as x(s text, token text)
    where o.scope = x.s and o.token = x.token and o.scope <> all(moved);
  return kinds;
end $$`
