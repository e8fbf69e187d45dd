import { PLANNED } from './planned.ts'

/** Lets deliveries go again, due now with nothing spent, one after the other: a keyed one that was final is the last of
 *  its line. Leased ones, those of an erased event or of an endpoint that is gone stay as they are. Takes the locks of
 *  their lanes. p is a list of { n, s: scope, d: delivery } in order of n. */
export const reopenSql: string = `create function {schema}.webhook_reopen(p json, p_redriven boolean)
returns void ${PLANNED} as $$
declare
  now_ms bigint;
  lanes bigint[];
  r record;
begin
  lanes := array(select d.lane from json_to_recordset(p) as t(s text, d text)
    join {schema}.webhook_delivery d on d.scope = t.s and d.id = t.d);
  perform 1 from {schema}.webhook_lane l where l.lane = any(lanes) order by l.lane for update;
  now_ms := {schema}.webhook_now();
  for r in select d.scope, d.id, d.lane, d.key, d.finished_ms is not null as final
    from json_to_recordset(p) as t(n integer, s text, d text)
    join {schema}.webhook_delivery d on d.scope = t.s and d.id = t.d
    join {schema}.webhook_lane l on l.lane = d.lane and l.removed_ms is null
    join {schema}.webhook_event e on e.scope = d.scope and e.id = d.event and not e.erased
    where not exists (select from {schema}.webhook_lease o where o.scope = d.scope and o.id = d.id) order by t.n
  loop
    update {schema}.webhook_delivery d set failed = null, reason = null, finished_ms = null, due_ms = now_ms,
      spent = 0, crashes = 0, redriven = p_redriven,
      line = case when r.final and r.key is not null then nextval('{schema}.webhook_line') else d.line end,
      waits = case when r.final then r.key is not null and exists (
        select from {schema}.webhook_delivery o where o.lane = r.lane and o.key = r.key and o.line is not null) else d.waits end
    where d.scope = r.scope and d.id = r.id;
  end loop;
  perform {schema}.webhook_refresh(lanes, now_ms);
  update {schema}.webhook_lane l set oldest_ms = l.held_since_ms where l.lane = any(lanes) and l.held_since_ms is not null;
end $$`

/** Moves what the pace of each redrive allows by now: the first at once, then one each interval. What ended after its
 *  start has had its turn, so \`after\` never has to go back. Answers how many. */
export const redriveSql: string = `create function {schema}.webhook_redrive_step(p_limit integer)
returns integer ${PLANNED} as $$
declare
  now_ms bigint := {schema}.webhook_now();
  r record;
  ids text[];
  room integer;
  total integer := 0;
begin
  for r in select * from {schema}.webhook_redrive x where x.state = 'running' order by x.started_ms, x.id
    for update skip locked
  loop
    room := greatest(0, least(p_limit - total, 1 + floor((now_ms - r.started_ms) * r.per_second / 1000) - r.moved));
    ids := array(select d.id from {schema}.webhook_delivery d
      join {schema}.webhook_lane l on l.lane = d.lane and l.removed_ms is null
      join {schema}.webhook_event e on e.scope = d.scope and e.id = d.event and not e.erased
      where d.scope = r.scope and d.failed = r.status and d.id > r.after
        and d.finished_ms <= r.started_ms and d.endpoint = coalesce(r.endpoint, d.endpoint)
        and d.created_ms >= coalesce(r.from_ms, d.created_ms) and d.created_ms < coalesce(r.to_ms, d.created_ms + 1)
      order by d.id limit room + 1);
    perform {schema}.webhook_reopen((select coalesce(json_agg(json_build_object('n', o.n, 's', r.scope, 'd', o.id)), '[]')
      from unnest(ids[1:room]) with ordinality as o(id, n)), true);
    update {schema}.webhook_redrive x set moved = x.moved + least(room, cardinality(ids)),
      after = coalesce((ids[1:room])[least(room, cardinality(ids))], x.after),
      state = case when cardinality(ids) > room then 'running' else 'done' end
      where x.id = r.id;
    total := total + least(room, cardinality(ids));
  end loop;
  return total;
end $$`
