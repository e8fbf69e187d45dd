import { RACED } from './errors.ts'
import { PLANNED } from './planned.ts'

/** What is written of records, as lists of the same length. */
const records = `rows from (unnest(p_scopes, p_cs, p_ids, p_hs, p_deleted_hs, p_gones, p_subjects),
      jsonb_array_elements(p_regs)) with ordinality as x(scope, c, id, h, deleted_h, gone, subject, reg, n)`

/**
 * All that a push writes; of the records the first `p_created` are new. What was not there when the push began and is now,
 * another transaction has created: then the push begins again (RACED). A tombstone keeps whom its record was about.
 */
export const writeSql: string = `create function {schema}.sync_write(p_client text, p_principal text, p_top text,
  p_top_here text, p_pushed bigint, p_offset_ms float8, p_correlation text, p_lock_ms integer,
  p_created integer, p_scopes text[], p_cs text[], p_ids text[], p_hs text[], p_deleted_hs text[], p_gones text[],
  p_subjects text[], p_regs jsonb, p_ops text[], p_fps text[], p_results text[], p_conflicts json, p_resolved text[])
returns void ${PLANNED} as $$
declare
  lock_time text := current_setting('lock_timeout');
  now_ms bigint := {schema}.sync_now();
  n integer;
begin
  perform set_config('lock_timeout', p_lock_ms || 'ms', true);
  if json_array_length(p_conflicts) > 0 then
    insert into {schema}.sync_conflict (id, scope, c, record, code, op, current, principal, client, at_ms)
    select x.* from json_to_recordset(p_conflicts) as x(id text, scope text, c text, record text, code text, op text,
      current text, principal text, client text, at_ms float8);
    -- Before its record is written: it met whom that was about.
    insert into {schema}.sync_about (scope, subject, conflict)
    select x.scope, a.subject, x.id
    from json_to_recordset(p_conflicts) as x(id text, scope text, c text, record text, subjects json)
    cross join lateral (
      select s.name from json_array_elements_text(x.subjects) as s(name)
      union
      select r.subject from {schema}.sync_record r
      where r.scope = x.scope and r.c = x.c and r.id = x.record and r.subject is not null
    ) as a(subject);
  end if;
  if p_created > 0 then
    insert into {schema}.sync_record as r (scope, c, id, reg, h, deleted_h, gone, subject, clients, at_ms)
    select x.scope, x.c, x.id, x.reg, x.h, x.deleted_h, x.gone, x.subject, array[p_client], now_ms
    from ${records} where x.n <= p_created order by x.scope collate "C", x.c collate "C", x.id collate "C"
    on conflict do nothing;
    get diagnostics n = row_count;
    if n < p_created then
      raise exception 'records were created by others' using errcode = '${RACED}';
    end if;
  end if;
  if p_created < cardinality(p_ids) then
    -- They are there, and locked: an update that joins may be planned the other way round.
    insert into {schema}.sync_record as r (scope, c, id, reg, h, deleted_h, gone, subject, clients, at_ms)
    select x.scope, x.c, x.id, x.reg, x.h, x.deleted_h, x.gone, x.subject, array[p_client], now_ms
    from ${records} where x.n > p_created
    on conflict (scope, c, id) do update set reg = excluded.reg, h = excluded.h, deleted_h = excluded.deleted_h,
      gone = excluded.gone, tx = excluded.tx, at_ms = excluded.at_ms,
      subject = case when excluded.gone is null then excluded.subject else coalesce(excluded.subject, r.subject) end,
      clients = case when p_client = any(r.clients) then r.clients else r.clients || p_client end;
  end if;
  -- Its key fails (errors.ts) where another push of the device was first.
  insert into {schema}.sync_op (client, op, fp, result, correlation, at_ms)
  select p_client, x.op, x.fp, x.result, p_correlation, now_ms from unnest(p_ops, p_fps, p_results) as x(op, fp, result);
  if cardinality(p_resolved) > 0 then
    update {schema}.sync_conflict f set status = 'resolved' where f.id = any(p_resolved);
  end if;
  insert into {schema}.sync_client as d (client, principal, top, top_here, pushed, offset_ms, pushed_ms)
  values (p_client, p_principal, p_top, p_top_here, p_pushed, p_offset_ms, now_ms)
  on conflict (client) do update set principal = excluded.principal, top = excluded.top, top_here = excluded.top_here,
    pushed = excluded.pushed, offset_ms = excluded.offset_ms, pushed_ms = excluded.pushed_ms;
  perform set_config('lock_timeout', lock_time, true);
  perform set_config('{schema}.sync_push', '', true);
end $$`
