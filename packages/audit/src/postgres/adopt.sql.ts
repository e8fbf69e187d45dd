/**
 * Takes over a log that was restored from another server, whose transactions have other numbers; answers how many of its
 * entries are not sealed. From here on all of it that has a leaf is sealed, whatever number it has: `known` lies behind
 * each id, and the rest gets the number of this transaction. For the owner of the tables, while nobody writes.
 */
export const adoptSql: string = `create function {schema}.audit_adopt(p_log text) returns bigint language plpgsql as $$
declare
  here pg_snapshot;
  part regclass;
  moved bigint;
  total bigint := 0;
begin
  perform pg_advisory_xact_lock(hashtextextended('{schema}.audit_head ' || p_log, 0));
  lock table {schema}.audit_entry in access exclusive mode;
  here := pg_current_snapshot();
  update {schema}.audit_head h set done = here, at_xid = '0', at_seq = 0,
    known = greatest(h.known, {schema}.audit_behind(
      (select e.id from {schema}.audit_entry e where e.log = p_log order by e.id desc limit 1)))
  where h.log = p_log;
  for part in select p.relid from pg_partition_tree('{schema}.audit_entry') as p where p.isleaf loop
    execute format('alter table %s disable trigger audit_grows', part);
    execute format('update %s e set xid = pg_current_xact_id(), seq = n.seq from (
      select o.id, nextval(''{schema}.audit_seq'') as seq from (
        select x.id from %s x where x.log = $1
          and not exists (select from {schema}.audit_leaf l where l.id = x.id and l.log = $1)
        order by x.xid, x.seq
      ) as o
    ) as n where e.id = n.id', part, part) using p_log;
    get diagnostics moved = row_count;
    total := total + moved;
    execute format('alter table %s enable trigger audit_grows', part);
  end loop;
  return total;
end $$`
