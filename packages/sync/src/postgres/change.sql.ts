import { PLANNED } from './planned.ts'

/** What is left of registers in a tombstone: their stamps. */
export const strippedSql: string = `create function {schema}.sync_stripped(p_reg jsonb) returns jsonb
language sql immutable strict parallel safe
as $$ select coalesce(jsonb_object_agg(f.key, jsonb_build_array(f.value->-1)), '{}') from jsonb_each(p_reg) as f $$`

/** Values as registers of one stamp; without p_values fields that are absent since then. */
export const registersSql: string = `create function {schema}.sync_registers(p_values jsonb, p_unset jsonb, p_stamp text)
returns jsonb language sql immutable parallel safe
as $$ select coalesce((select jsonb_object_agg(f.name, jsonb_build_array(p_stamp)) from jsonb_array_elements_text(p_unset) as f(name)), '{}')
  || coalesce((select jsonb_object_agg(f.key, jsonb_build_array(f.value, p_stamp)) from jsonb_each(p_values) as f), '{}') $$`

/**
 * Writes of the server's own: as serverChanged of server-change.ts, each with a stamp behind all that was done to what it
 * meets. { node, lockMs?, changes: [{ scope, c, id, t, set, unset, to, subject }] }. Answers the stamps as JSON, null for what
 * changed nothing. Records are locked first, in the order in which all who write lock them.
 */
export const changeSql: string = `create function {schema}.sync_change(p_changes jsonb) returns text ${PLANNED} as $$
declare
  node text := p_changes->>'node';
  ms text := {schema}.sync_base36({schema}.sync_now(), 9);
  has_move boolean := p_changes @? '$.changes[*] ? (@.t == "move")';
  stamps text[] := array_fill(null::text, array[jsonb_array_length(p_changes->'changes')]);
  x record;
begin
  if p_changes ? 'lockMs' then
    perform set_config('lock_timeout', p_changes->>'lockMs', true);
  end if;
  if has_move or cardinality(stamps) > 1 then
    perform from (
        select distinct s.name collate "C" as scope, g.c collate "C" as c, g.id collate "C" as id
        from jsonb_to_recordset(p_changes->'changes') as g(scope text, c text, id text, "to" text)
        cross join lateral (values (g.scope), (g."to")) as s(name) order by 1, 2, 3) as k
      cross join lateral (select from {schema}.sync_record o where o.scope = k.scope and o.c = k.c and o.id = k.id
        for update) as r;
  end if;
  -- Who creates the same records does so in the same order. A move has two, and what comes after it may be of both.
  for x in select * from rows from (jsonb_to_recordset(p_changes->'changes')
      as (scope text, c text, id text, t text, "set" jsonb, unset jsonb, "to" text, subject text))
    with ordinality as g(scope, c, id, t, "set", unset, "to", subject, n)
    order by case when has_move then n end, g.scope collate "C", g.c collate "C", g.id collate "C", n
  loop
    stamps[x.n] := case when x.t = 'move' and x."to" <> x.scope
      then {schema}.sync_move(x.scope, x.c, x.id, x."to", x.set, x.unset, x.subject, ms, node)
      else {schema}.sync_put(x.scope, x.c, x.id, case x.t when 'move' then 'patch' else x.t end,
        x.set, x.unset, x.subject, ms, node) end;
  end loop;
  return array_to_json(stamps)::text;
end $$`

/** One put, patch or delete. Its stamp comes after p_last too, or is p_stamp. Null: there was nothing to do. */
export const putSql: string = `create function {schema}.sync_put(p_scope text, p_c text, p_id text, p_t text,
  p_set jsonb, p_unset jsonb, p_subject text, p_ms text, p_node text, p_last text default null,
  p_stamp text default null, p_gone text default 'deleted') returns text ${PLANNED} as $$
declare
  r {schema}.sync_record;
  stamp text;
  registers jsonb;
begin
  loop
    select * into r from {schema}.sync_record o where o.scope = p_scope and o.c = p_c and o.id = p_id for update;
    stamp := coalesce(p_stamp, {schema}.sync_next_stamp(greatest(r.h, p_last collate "C"), p_ms, p_node));
    registers := {schema}.sync_registers(p_set, p_unset, stamp);
    if r.scope is not null then
      exit;
    end if;
    if p_t <> 'put' then
      return null;
    end if;
    insert into {schema}.sync_record (scope, c, id, reg, h, subject, at_ms)
    values (p_scope, p_c, p_id, registers, stamp, p_subject, {schema}.sync_now()) on conflict do nothing;
    if found then
      return stamp;
    end if;
  end loop;
  if (p_t <> 'put' and r.gone is not null) or (p_t <> 'delete' and r.gone is null and registers = '{}') then
    return null;
  end if;
  update {schema}.sync_record o set
    reg = case p_t when 'delete' then {schema}.sync_stripped(r.reg) else r.reg || registers end,
    h = stamp, deleted_h = case p_t when 'delete' then stamp else r.deleted_h end,
    gone = case p_t when 'delete' then p_gone end, subject = coalesce(p_subject, r.subject),
    tx = pg_current_xact_id(), at_ms = {schema}.sync_now()
  where o.scope = p_scope and o.c = p_c and o.id = p_id;
  return stamp;
end $$`

/** A put of the whole document there, and a tombstone here, of one stamp. */
export const moveSql: string = `create function {schema}.sync_move(p_scope text, p_c text, p_id text, p_to text,
  p_set jsonb, p_unset jsonb, p_subject text, p_ms text, p_node text) returns text ${PLANNED} as $$
declare
  r {schema}.sync_record;
  stamp text;
  doc jsonb;
  about text;
begin
  select * into r from {schema}.sync_record o
    where o.scope = p_scope and o.c = p_c and o.id = p_id and o.gone is null for update;
  if not found then
    return null;
  end if;
  about := coalesce(p_subject, r.subject);
  doc := (select coalesce(jsonb_object_agg(f.key, f.value->0), '{}') from jsonb_each(r.reg) as f
    where jsonb_array_length(f.value) = 2 and not coalesce(p_unset ? f.key, false)) || coalesce(p_set, '{}');
  stamp := {schema}.sync_put(p_to, p_c, p_id, 'put', doc, null, about, p_ms, p_node, r.h);
  perform {schema}.sync_put(p_scope, p_c, p_id, 'delete', null, null, about, p_ms, p_node, null, stamp, 'scope');
  return stamp;
end $$`
