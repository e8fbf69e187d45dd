/** One at a time makes or drops partitions, and the others need not: nodes that sweep together would name the same tables. */
const IS_ALONE = `pg_try_advisory_xact_lock(hashtext('{schema}.webhook_partitions'))`

/** As SQL: what is in the default partition is over since end_ms. */
const IS_OVER = 'not exists (select from {schema}.webhook_attempt_default a where a.at_ms > end_ms)'

/** Attempts by day: the partitions of today and of the next two days, where they are missing. Rows that are there before
 *  their partition are in the default one, which then keeps that day. Waits 200 ms for locks: the next sweep tries
 *  again. */
export const partitionsSql: string = `create function {schema}.webhook_partitions() returns void
language plpgsql set lock_timeout = '200ms' as $$
declare
  day bigint := floor({schema}.webhook_now() / 86400000.0);
  name text;
begin
  if not ${IS_ALONE} then return; end if;
  for i in 0 .. 2 loop
    name := 'webhook_attempt_' || (day + i);
    continue when to_regclass('{schema}.' || name) is not null;
    begin
      execute format('create table {schema}.%I (like {schema}.webhook_attempt)', name);
      execute format('alter table {schema}.webhook_attempt attach partition {schema}.%I for values from (%s) to (%s)',
        name, (day + i) * 86400000, (day + i + 1) * 86400000);
    exception when lock_not_available or check_violation or duplicate_table or deadlock_detected then null;
    end;
  end loop;
end $$`

/** Drops the partitions whose days are over since p_ms, which is all that retention of attempts is. Answers the number of
 *  rows as the server knows them, at least one for each partition. */
export const retireSql: string = `create function {schema}.webhook_retire(p_ms bigint) returns integer
language plpgsql set lock_timeout = '200ms' as $$
declare
  end_ms bigint := {schema}.webhook_now() - p_ms;
  part record;
  dropped integer := 0;
begin
  if not ${IS_ALONE} then return 0; end if;
  for part in select c.oid::regclass as name, c.reltuples from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = '{schema}.webhook_attempt'::regclass and c.relname ~ '^webhook_attempt_[0-9]+$'
      and (substring(c.relname from '[0-9]+$')::bigint + 1) * 86400000 <= end_ms
  loop
    begin
      execute 'drop table ' || part.name;
      dropped := dropped + greatest(1, part.reltuples::integer);
    exception when lock_not_available or deadlock_detected then null;
    end;
  end loop;
  if exists (select from {schema}.webhook_attempt_default) and ${IS_OVER} then
    begin
      lock table {schema}.webhook_attempt_default in access exclusive mode;
      -- Whoever was waited for may have written one.
      if ${IS_OVER} then
        truncate {schema}.webhook_attempt_default;
        dropped := dropped + 1;
      end if;
    exception when lock_not_available or deadlock_detected then null;
    end;
  end if;
  return dropped;
end $$`
