import { PLANNED } from './planned.ts'
import { recordColumns } from './record-row.ts'
import { MAX_OPEN } from './snapshot.ts'

/** Of a row of one scope: what the pull is about, and not before its place. */
const asked = `r.tx > '0' and pg_visible_in_snapshot(r.tx, target) and (p_collections is null or r.c = any(p_collections))
          and (r.gone is null or (s.known and (is_cut or pg_visible_in_snapshot(r.created_tx, p_floor))))
          and not (r.tx = p_tx and r.c = p_c and r.id = p_id and r.scope <= p_scope)`

/**
 * Rows and snapshot of one moment: the function is stable, so all of it sees what its caller's statement sees. Versions of
 * a scope are read along their index, from the floor or the place of the page before on, never from the beginning: first
 * those of each transaction that was open at the floor and has ended, then those behind it.
 *
 * A tombstone is told only to who can have had the record. Kind 'elsewhere': the history is another one.
 */
export const pullSql: string = `create function {schema}.sync_pull(p_scopes text[], p_known boolean[], p_collections text[],
  p_era bigint, p_floor pg_snapshot, p_target pg_snapshot, p_tx xid8, p_c text, p_id text, p_scope text, p_limit integer)
returns table (kind text, era text, now_ms float8, target text, page text) stable ${PLANNED} as $$
#variable_conflict use_variable
declare
  meta {schema}.sync_meta;
  here pg_snapshot := pg_current_snapshot();
begin
  now_ms := {schema}.sync_now();
  kind := case when pg_is_in_recovery() then 'replica' when pg_current_xact_id_if_assigned() is not null then 'writing' end;
  if kind is null then
    select m.* into meta from {schema}.sync_meta as m;
    era := meta.era;
    kind := case when meta.here <> {schema}.sync_here() then 'elsewhere'
      when p_era <> meta.era or pg_snapshot_xmax(p_floor) > pg_snapshot_xmax(here)
        or pg_snapshot_xmax(p_target) > pg_snapshot_xmax(here) then 'other-era'
      when pg_snapshot_xmax(p_floor) < meta.horizon or exists (select from pg_snapshot_xip(p_floor) as o(tx)
        where o.tx < meta.horizon and pg_visible_in_snapshot(o.tx, meta.horizon_seen)) then 'expired'
      else 'page' end;
  end if;
  if kind = 'page' then
    target := here;
    page := {schema}.sync_page(p_scopes, p_known, p_collections, p_floor, coalesce(p_target, here),
      p_tx, p_c, p_id, p_scope, p_limit);
  end if;
  return next;
end $$`

/** The rows of a page in their order, as JSON. */
export const pageSql: string = `create function {schema}.sync_page(p_scopes text[], p_known boolean[], p_collections text[],
  p_floor pg_snapshot, target pg_snapshot, p_tx xid8, p_c text, p_id text, p_scope text, p_limit integer)
returns text stable ${PLANNED} as $$
declare
  ended xid8[] := array(select o.tx from pg_snapshot_xip(p_floor) as o(tx)
    where o.tx >= p_tx and pg_visible_in_snapshot(o.tx, target) order by o.tx);
  -- It sees less than the device has: that may have whatever is gone.
  is_cut boolean := (select count(*) from pg_snapshot_xip(p_floor)) >= ${MAX_OPEN};
begin
  return (select coalesce(json_agg(json_build_array(${recordColumns('v')}, v.tx::text,
      coalesce(not (v.known and pg_visible_in_snapshot(v.created_tx, p_floor)), true))), '[]')
  from (
    select v.*, s.known
    from (select g.name, g.known and p_floor is not null as known,
        case when g.known and p_floor is not null and pg_snapshot_xmax(p_floor) > p_tx then pg_snapshot_xmax(p_floor)
          else p_tx end as tx
      from unnest(p_scopes, p_known) as g(name, known)) as s
    cross join lateral (
      (select r.* from unnest(ended) as o(tx) cross join lateral (
        select r.* from {schema}.sync_record r
        where s.known and r.scope = s.name and r.tx = o.tx
          and (r.c, r.id) >= (case when o.tx = p_tx then p_c else '' end, case when o.tx = p_tx then p_id else '' end)
          and ${asked}
        order by r.c, r.id limit p_limit) as r)
      union all
      (select r.* from {schema}.sync_record r
        where r.scope = s.name
          and (r.tx, r.c, r.id) >= (s.tx, case when s.tx = p_tx then p_c else '' end, case when s.tx = p_tx then p_id else '' end)
          and r.tx < pg_snapshot_xmax(target) and ${asked}
        order by r.tx, r.c, r.id limit p_limit)
    ) as v
    order by v.tx, v.c, v.id, v.scope limit p_limit
  ) as v);
end $$`

/** Which scopes have versions that a snapshot does not see. $1 scopes, $2 era, $3 the snapshot; null: none are asked. */
export const changedSql = (schema: string): string => `select * from ${schema}.sync_changed($1::text::text[],
  $2::text::bigint, $3::text::pg_snapshot)`

export const changedFunctionSql: string = `create function {schema}.sync_changed(p_scopes text[], p_era bigint, p_since pg_snapshot)
returns table (kind text, era text, now_at text, scopes text) stable ${PLANNED} as $$
#variable_conflict use_variable
declare
  meta {schema}.sync_meta;
  here pg_snapshot := pg_current_snapshot();
  ended xid8[];
begin
  if pg_is_in_recovery() then
    kind := 'replica';
    return next;
    return;
  end if;
  select m.* into meta from {schema}.sync_meta as m;
  era := meta.era;
  now_at := here;
  kind := case when meta.here <> {schema}.sync_here() then 'elsewhere' else 'page' end;
  scopes := case when p_since is null or here::text = p_since::text then '[]'
    when p_era <> meta.era then array_to_json(p_scopes)::text
    else null end;
  if kind = 'page' and scopes is null then
    ended := array(select o.tx from pg_snapshot_xip(p_since) as o(tx) where pg_visible_in_snapshot(o.tx, here));
    scopes := (select coalesce(json_agg(s.name), '[]') from unnest(p_scopes) as s(name)
      where exists (select from {schema}.sync_record r where r.scope = s.name and r.tx > '0'
          and r.tx >= pg_snapshot_xmax(p_since))
        or exists (select from unnest(ended) as o(tx)
          join {schema}.sync_record r on r.scope = s.name and r.tx > '0' and r.tx = o.tx));
  end if;
  return next;
end $$`
