import { PLANNED } from './planned.ts'

/** Takes the bytes of events of a subject away, and with them what receivers answered; what is open is cancelled. */
export const eraseSql: string = `create function {schema}.webhook_erase(p_scope text, p_subject text, p_limit integer,
  out events integer, out cancelled integer) ${PLANNED} as $$
declare
  ids text[];
begin
  ids := array(select e.id from {schema}.webhook_event e
    where e.scope = p_scope and e.subject = p_subject and not e.erased order by e.seq limit p_limit for update);
  update {schema}.webhook_event e set body = '', erased = true where e.scope = p_scope and e.id = any(ids);
  cancelled := {schema}.webhook_end((
    select coalesce(json_agg(o), '[]') from (
      select d.scope as s, d.id as d from {schema}.webhook_delivery d
      join {schema}.webhook_endpoint e on e.lane = d.lane
      where d.scope = p_scope and d.event = any(ids) and d.finished_ms is null) as o),
    'cancelled', 'erased');
  update {schema}.webhook_attempt a set response = null, error = null from {schema}.webhook_delivery d
    where d.scope = p_scope and d.event = any(ids) and a.scope = d.scope and a.delivery = d.id;
  events := cardinality(ids);
end $$`
