/** $1 log, $2 rows that are counted at most. Sizes are those of the files. */
export const inspectSql = (
  schema: string,
): string => `select b.n as unsealed, b.oldest, ${schema}.audit_now()::float8 as now_ms,
  coalesce(h.size, 0)::float8 as size,
  ((select sum(pg_total_relation_size(p.relid)) from pg_partition_tree('${schema}.audit_entry') as p)
    + pg_total_relation_size('${schema}.audit_leaf') + pg_total_relation_size('${schema}.audit_tile'))::float8 as bytes,
  coalesce((select json_object_agg(c.sink, c.at) from ${schema}.audit_cursor c where c.log = $1), '{}')::text as cursors
from (select 1) as one left join ${schema}.audit_head h on h.log = $1
cross join lateral ${schema}.audit_backlog($1, coalesce(h.done, '1:1:'), coalesce(h.at_xid, '0'), coalesce(h.at_seq, 0),
  pg_current_snapshot(), '0', 0, coalesce(h.known, ${schema}.audit_first_id(0)), $2::integer) as b`

/** $1 log, $2 the mark: a snapshot. */
export const isSealedSql = (schema: string): string => `select b.n = 0 as sealed
from (select 1) as one left join ${schema}.audit_head h on h.log = $1
cross join lateral ${schema}.audit_backlog($1, coalesce(h.done, '1:1:'), coalesce(h.at_xid, '0'), coalesce(h.at_seq, 0),
  $2::text::pg_snapshot, '0', 0, coalesce(h.known, ${schema}.audit_first_id(0)), 1) as b`
