import { PLANNED } from './planned.ts'

/**
 * Erases the values of a scope, of one of its records, or of those about a person: in the records, which stay as
 * tombstones so that devices hear of it, and in conflicts; results have none. Answers how many records that were, and which
 * devices wrote there.
 */
export const forgetSql: string = `create function {schema}.sync_forget(p_scope text, p_c text, p_id text, p_subject text,
  p_node text) returns table (records float8, clients text) ${PLANNED} as $$
#variable_conflict use_column
declare
  ms text := {schema}.sync_base36({schema}.sync_now(), 9);
  meant refcursor;
  r {schema}.sync_record;
  devices text[] := '{}';
  edits text[];
  n bigint := 0;
begin
  -- One query for all three would read the scope for each.
  if p_id is not null then
    open meant for select * from {schema}.sync_record o
      where o.scope = p_scope and o.c = p_c and o.id = p_id for update;
  elsif p_subject is not null then
    open meant for select * from {schema}.sync_record o
      where o.scope = p_scope and o.subject = p_subject order by o.c, o.id for update;
  else
    open meant for select * from {schema}.sync_record o where o.scope = p_scope order by o.c, o.id for update;
  end if;
  loop
    fetch meant into r;
    exit when not found;
    devices := array(select distinct d.name from unnest(devices || r.clients) as d(name));
    if r.gone is distinct from 'erased' then
      n := n + 1;
      update {schema}.sync_record o set (reg, h, deleted_h, gone, tx, at_ms) =
        (select '{}'::jsonb, s.h, s.h, 'erased', pg_current_xact_id(), {schema}.sync_now()
          from {schema}.sync_next_stamp(o.h, ms, p_node) as s(h))
      where o.scope = p_scope and o.c = r.c and o.id = r.id;
    end if;
    with erased as (
      delete from {schema}.sync_conflict f where f.scope = p_scope and f.c = r.c and f.record = r.id returning f.client
    )
    select array(select distinct d.name from unnest(devices || array(select e.client from erased e)) as d(name)) into devices;
  end loop;
  -- Edits of what never came to be, or is about somebody else now.
  if p_id is not null then
    edits := array(select f.id from {schema}.sync_conflict f where f.scope = p_scope and f.c = p_c and f.record = p_id);
  elsif p_subject is not null then
    edits := array(select a.conflict from {schema}.sync_about a where a.scope = p_scope and a.subject = p_subject);
  else
    edits := array(select f.id from {schema}.sync_conflict f where f.scope = p_scope);
  end if;
  with erased as (
    delete from {schema}.sync_conflict f where f.id = any(edits) returning f.client
  )
  select array(select distinct d.name from unnest(devices || array(select e.client from erased e)) as d(name)) into devices;
  records := n;
  clients := array_to_json(array(select d.name from unnest(devices) as d(name) order by d.name collate "C"))::text;
  return next;
end $$`

/** Live records about a person. $1 scope, $2 the person, $3 and $4 key of the last one before, $5 limit. */
export const ofSubjectSql = (schema: string, columns: string): string => `select
  coalesce(json_agg(json_build_array(${columns})), '[]')::text as records
from (select * from ${schema}.sync_record r where r.scope = $1 and r.subject = $2 and r.gone is null
  and (r.c, r.id) > ($3::text, $4::text) order by r.c, r.id limit $5::integer) as r`
