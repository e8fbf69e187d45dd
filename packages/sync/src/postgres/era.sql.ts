import { PLANNED } from './planned.ts'

/** Which history the numbers of transactions are of: those of another server, or of this one from another point of its
 *  log on, are others. Not on a replica, which writes no log. */
export const hereSql: string = `create function {schema}.sync_here() returns text language sql stable
as $$ select s.system_identifier || ':' || left(pg_walfile_name(pg_current_wal_lsn()), 8) from pg_control_system() as s $$`

/**
 * Of p_blocks of the table, the versions whose numbers mean nothing here, ahead of all that has happened: they would be
 * told to nobody until this history comes to their number. They become versions of now; those that others hold wait for
 * the next pass. What a physical copy has keeps its numbers. Answers how many there were; next is null behind the end.
 */
export const adoptSql: string = `create function {schema}.sync_adopt(p_from bigint, p_blocks integer)
returns table (strange float8, next float8) ${PLANNED} as $$
#variable_conflict use_column
declare
  first tid := ('(' || p_from || ',0)')::tid;
  behind tid := ('(' || p_from + p_blocks || ',0)')::tid;
begin
  strange := (select count(*) from {schema}.sync_record r, (select pg_current_snapshot() as now) as s
    where r.ctid >= first and r.ctid < behind
      and not (pg_visible_in_snapshot(r.tx, s.now) and pg_visible_in_snapshot(r.created_tx, s.now)));
  if strange > 0 then
    with meant as materialized (
      select r.ctid as place, s.now from {schema}.sync_record r, (select pg_current_snapshot() as now) as s
      where r.ctid >= first and r.ctid < behind
        and not (pg_visible_in_snapshot(r.tx, s.now) and pg_visible_in_snapshot(r.created_tx, s.now))
      for update of r skip locked
    )
    -- What somebody has written meanwhile is new, but was not made anew.
    update {schema}.sync_record r set tx = pg_current_xact_id(),
      created_tx = case when pg_visible_in_snapshot(r.created_tx, m.now) then r.created_tx else pg_current_xact_id() end
    from meant m where r.ctid = m.place;
  end if;
  next := case when (p_from + p_blocks) * current_setting('block_size')::bigint < pg_relation_size('{schema}.sync_record')
    then p_from + p_blocks end;
  return next;
end $$`

/** Begins a new era, with p_always or where the history is another one: no snapshot of before is of it. Answers its
 *  number. */
export const rebaseSql: string = `create function {schema}.sync_rebase(p_always boolean) returns bigint
language plpgsql as $$
declare
  meta {schema}.sync_meta;
begin
  select * into meta from {schema}.sync_meta for update;
  if not p_always and meta.here = {schema}.sync_here() then
    return meta.era;
  end if;
  update {schema}.sync_meta set era = meta.era + 1, here = {schema}.sync_here(),
    horizon = null, horizon_seen = null, horizon_ms = null;
  return meta.era + 1;
end $$`
