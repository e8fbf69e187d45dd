/** The least id of an instant: its ms lead a UUIDv7. */
export const firstIdSql: string = `create function {schema}.audit_first_id(p_ms bigint) returns uuid
language sql immutable strict as $$ select (lpad(to_hex(p_ms), 12, '0') || repeat('0', 20))::uuid $$`

/** The least id of the next ms: it is behind all of this one's. */
export const behindSql: string = `create function {schema}.audit_behind(p_id uuid) returns uuid
language sql immutable strict as $$ select {schema}.audit_first_id(
  least(('x' || translate(left(p_id::text, 13), '-', ''))::bit(48)::bigint + 1, x'ffffffffffff'::bigint)) $$`

/** A partition of entries that only grows, also for who names it itself. */
export const partitionSql: string = `create function {schema}.audit_partition(p_name text, p_bounds text) returns void
language plpgsql as $$
begin
  execute format('create table {schema}.%I (like {schema}.audit_entry including defaults)', p_name);
  execute format('create trigger audit_grows before update or delete or truncate on {schema}.%I
    for each statement execute function {schema}.audit_refuse()', p_name);
  execute format('alter table {schema}.audit_entry attach partition {schema}.%I %s', p_name, p_bounds);
end $$`

/** Entries by month of their ids: the partitions of this month and of the next three, where they are missing. Rows that
 *  are there before their partition are in the default one, which then keeps that month; so are those of an application
 *  that may not make tables. Waits 200 ms for locks: the next time tries again. One process at a time: those that start
 *  together would name the same tables. */
export const partitionsSql: string = `create function {schema}.audit_partitions() returns void
language plpgsql set lock_timeout = '200ms' as $$
declare
  first timestamp := date_trunc('month', to_timestamp({schema}.audit_now() / 1000.0) at time zone 'UTC');
  lower timestamp;
  name text;
begin
  if not pg_try_advisory_xact_lock(hashtext('{schema}.audit_partitions')) then return; end if;
  for i in 0 .. 3 loop
    lower := first + i * interval '1 month';
    name := 'audit_entry_' || to_char(lower, 'YYYYMM');
    continue when to_regclass('{schema}.' || name) is not null;
    begin
      perform {schema}.audit_partition(name, format('for values from (%L) to (%L)',
        {schema}.audit_first_id((extract(epoch from lower) * 1000)::bigint),
        {schema}.audit_first_id((extract(epoch from lower + interval '1 month') * 1000)::bigint)));
    exception when lock_not_available or check_violation or duplicate_table or deadlock_detected
      or insufficient_privilege then null;
    end;
  end loop;
end $$`
