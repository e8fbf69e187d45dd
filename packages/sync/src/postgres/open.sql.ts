import { PLANNED } from './planned.ts'
import { recordColumns } from './record-row.ts'

/** Each is looked up by itself: a join may be planned the other way round, and read a scope as a whole. */
const locked = (how: string): string => `(select coalesce(json_agg(json_build_array(${recordColumns('r')})), '[]')
      from (select * from json_to_recordset(p_keys) as k(s text, c text, i text)
        order by k.s collate "C", k.c collate "C", k.i collate "C") as k
      cross join lateral (select * from {schema}.sync_record o where o.scope = k.s and o.c = k.c and o.id = k.i
        for update ${how}) as r)`

/**
 * Locks what a push will touch and answers it as JSON: the device, what became of its operations, and the records, in
 * the order in which all who write lock them. With p_wait it fails with 55P03 where a lock is not got in p_lock_ms.
 * Without, it takes what is free; `busy` are then all that are there, or that another transaction is about to create, which
 * an insert finds out that is taken back. A push of nothing new touches no record but to tell it. The lock time of the
 * caller stays as it was. Until sync_write the transaction says which records are under way, for triggers (rows.sql.ts).
 */
export const openSql: string = `create function {schema}.sync_open(p_client text, p_keys json, p_ops text[], p_wait boolean,
  p_lock_ms integer)
returns table (now_ms float8, device text, results text, records text, busy text) ${PLANNED} as $$
#variable_conflict use_variable
declare
  lock_time text := current_setting('lock_timeout');
  needs_records boolean;
  one record;
begin
  perform set_config('lock_timeout', p_lock_ms || 'ms', true);
  perform pg_advisory_xact_lock(hashtextextended('{schema}.sync_client ' || p_client, 0));
  select coalesce(json_agg(json_build_array(o.op, o.fp, o.result)), '[]'),
    count(*) < cardinality(p_ops) or coalesce(bool_or(o.result like '{%"rec"%'), true) into results, needs_records
    from unnest(p_ops) as g(op)
    cross join lateral (select * from {schema}.sync_op f where f.client = p_client and f.op = g.op offset 0) as o;
  records := '[]';
  busy := '[]';
  if needs_records and p_wait then
    records := ${locked('')};
  elsif needs_records then
    records := ${locked('skip locked')};
    perform set_config('lock_timeout', '1ms', true);
    busy := '[';
    for one in select g.s, g.c, g.i, exists (select from {schema}.sync_record r where r.scope = g.s and r.c = g.c and r.id = g.i
      offset 0) as there from json_to_recordset(p_keys) as g(s text, c text, i text)
    loop
      if not one.there then
        begin
          insert into {schema}.sync_record (scope, c, id, reg, h, at_ms) values (one.s, one.c, one.i, '{}', '', 0);
          raise exception using errcode = 'KES02';
        exception
          when sqlstate 'KES02' then continue;
          when lock_not_available or unique_violation then null;
        end;
      end if;
      busy := busy || case busy when '[' then '' else ',' end || json_build_array(one.s, one.c, one.i);
    end loop;
    busy := busy || ']';
  end if;
  perform set_config('lock_timeout', lock_time, true);
  perform set_config('{schema}.sync_push', p_keys::text, true);
  now_ms := {schema}.sync_now();
  device := (select json_build_array(d.client, d.principal, d.top, d.top_here, d.pushed, d.offset_ms, d.pushed_ms, d.pulled_ms)
    from {schema}.sync_client d where d.client = p_client);
  return next;
end $$`
