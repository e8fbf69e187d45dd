import { PLANNED } from './planned.ts'
import { SPAN } from './seal.sql.ts'

/** The first index whose entry is not of a month that was over at p_ms, or that a sink has not. */
export const prunableSql: string = `create function {schema}.audit_prunable(p_log text, p_ms bigint) returns bigint
${PLANNED} as $$
declare
  h record;
  kept uuid := {schema}.audit_first_id((extract(epoch from
    date_trunc('month', to_timestamp(p_ms / 1000.0) at time zone 'UTC')) * 1000)::bigint);
  first bigint;
begin
  select x.size, x.pruned into h from {schema}.audit_head x where x.log = p_log;
  if not found then return 0; end if;
  select l.idx into first from (
    select s.n from {schema}.audit_span s
    where s.log = p_log and s.n >= h.pruned / ${SPAN} and s.max_id >= kept order by s.n limit 1
  ) as s cross join lateral (
    select x.idx from {schema}.audit_leaf x
    where x.log = p_log and x.idx >= s.n * ${SPAN} and x.idx >= h.pruned and x.id >= kept order by x.idx limit 1
  ) as l;
  return greatest(h.pruned, least(coalesce(first, h.size),
    (select min(c.at) from {schema}.audit_cursor c where c.log = p_log)));
end $$`

/** True: each entry of a partition, whose ids are from p_lower to below p_upper, is sealed and below its log's mark. */
export const isOverSql: string = `create function {schema}.audit_is_over(p_part regclass, p_lower uuid, p_upper uuid)
returns boolean ${PLANNED} as $$
declare
  h record;
  live boolean;
begin
  for h in select * from {schema}.audit_head loop
    if exists (
      select from {schema}.audit_span s join {schema}.audit_leaf l
        on l.log = s.log and l.idx >= s.n * ${SPAN} and l.idx < (s.n + 1) * ${SPAN}
      where s.log = h.log and s.n >= h.pruned / ${SPAN} and s.min_id < p_upper and s.max_id >= p_lower
        and l.idx >= h.pruned and l.id >= p_lower and l.id < p_upper
    ) then return false; end if;
    execute format('select exists (select from %s e where e.log = $1
      and (e.xid = any(array(select pg_snapshot_xip($2))) or e.xid >= pg_snapshot_xmax($2)))', p_part)
      into live using h.log, h.done;
    if live then return false; end if;
  end loop;
  -- A log of which nothing was ever sealed. From log to log, not from row to row.
  execute format('with recursive logs(log) as (
    (select e.log from %1$s e order by e.log limit 1)
    union all
    select (select e.log from %1$s e where e.log > x.log order by e.log limit 1) from logs x where x.log is not null
  ) select exists (select from logs x where x.log is not null
    and not exists (select from {schema}.audit_head h where h.log = x.log))', p_part) into live;
  return not live;
end $$`

/** Deletes what stands below the mark of its log in the default partition, which never goes itself. Writers of months that
 *  have a partition do not wait. Answers the last id that went. */
export const pruneOthersSql: string = `create function {schema}.audit_prune_others(p_log text, p_up_to bigint)
returns uuid ${PLANNED} set lock_timeout = '100ms' as $$
declare
  gone uuid[];
begin
  if not exists (select from {schema}.audit_entry_default) then return null; end if;
  alter table {schema}.audit_entry_default disable trigger audit_grows;
  with doomed as (
    delete from {schema}.audit_entry_default e using {schema}.audit_leaf l
    where e.log = p_log and l.id = e.id and l.log = e.log and l.idx < p_up_to returning e.id
  ) select array_agg(d.id) into gone from doomed d;
  alter table {schema}.audit_entry_default enable trigger audit_grows;
  delete from {schema}.audit_key k where k.log = p_log and k.entry = any(gone);
  return (select x.id from unnest(gone) as x(id) order by x.id desc limit 1);
end $$`

/** Moves the mark of a log to p_up_to, and drops the partitions that are below the marks of all; answers how far it was
 *  moved. Locks are waited for 100 ms, since writers wait behind it: what is not dropped now is dropped the next time. */
export const pruneSql: string = `create function {schema}.audit_prune(p_log text, p_up_to bigint) returns bigint
${PLANNED} set lock_timeout = '100ms' as $$
declare
  before bigint;
  after bigint;
  part record;
  lower timestamp;
  lower_id uuid;
  upper_id uuid;
  last uuid;
begin
  select h.pruned, greatest(h.pruned, least(p_up_to, h.size)) into before, after
    from {schema}.audit_head h where h.log = p_log for update;
  if not found then return 0; end if;
  update {schema}.audit_head h set pruned = after where h.log = p_log and after > before;
  for part in select c.oid::regclass as name, substring(c.relname from '[0-9]+$') as month
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = '{schema}.audit_entry'::regclass and c.relname ~ '^audit_entry_[0-9]+$' order by c.relname
  loop
    lower := to_date(part.month, 'YYYYMM');
    lower_id := {schema}.audit_first_id((extract(epoch from lower) * 1000)::bigint);
    upper_id := {schema}.audit_first_id((extract(epoch from lower + interval '1 month') * 1000)::bigint);
    -- Of this month and those to come nothing is dropped: their partitions are written to.
    exit when lower + interval '1 month' > to_timestamp({schema}.audit_now() / 1000.0) at time zone 'UTC';
    begin
      -- What is on its way into it has ended then.
      execute format('lock table %s in access exclusive mode', part.name);
      if {schema}.audit_is_over(part.name, lower_id, upper_id) then
        execute format('drop table %s', part.name);
        delete from {schema}.audit_key k where k.entry >= lower_id and k.entry < upper_id;
        update {schema}.audit_head h set known = greatest(h.known, upper_id);
      end if;
    exception when lock_not_available or deadlock_detected or insufficient_privilege then null;
    end;
  end loop;
  begin
    last := {schema}.audit_prune_others(p_log, after);
    update {schema}.audit_head h set known = greatest(h.known, {schema}.audit_behind(last))
    where h.log = p_log and last is not null;
  exception when lock_not_available or deadlock_detected or insufficient_privilege then null;
  end;
  return after - before;
end $$`
