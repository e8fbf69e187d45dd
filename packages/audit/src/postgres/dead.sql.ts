import { listOf } from './text.ts'

const sinks = listOf('$2::text')

/** $1 log, then lists: $2 sinks, $3 indexes, $4 ids, $5 reasons, $6 instants. */
export const burySql = (
  schema: string,
): string => `insert into ${schema}.audit_dead as d (log, sink, idx, id, reason, at_ms)
select distinct on (g.sink collate "C", g.idx) $1, g.sink, g.idx, g.id, g.reason, g.at_ms
from unnest(${sinks}, string_to_array($3::text, ',')::bigint[], ${listOf('$4::text')}, ${listOf('$5::text')},
  string_to_array($6::text, ',')::bigint[]) with ordinality as g(sink, idx, id, reason, at_ms, n)
order by g.sink collate "C", g.idx, g.n desc
on conflict (log, sink, idx) do update set reason = excluded.reason, again = false`

/** $1 log, $2 sink or null, $3 true for those that wait for their replay alone, $4 and $5 the last of the page before,
 *  $6 rows. */
export const listDeadSql = (schema: string): string => `select d.sink, d.idx::float8 as idx, d.id, d.reason,
  d.at_ms::float8 as at_ms, d.again from ${schema}.audit_dead d
where d.log = $1 and ($2::text is null or d.sink = $2) and (d.again or not $3::boolean)
  and (d.sink, d.idx) > ($4::text, $5::float8::bigint) order by d.sink, d.idx limit $6::integer`

/** $1 log, $2 sink or null, $3 ids or null for all. */
const chosen = `d.log = $1 and ($2::text is null or d.sink = $2) and ($3::text is null or d.id = any(${listOf('$3::text')}))`

export const unburySql = (schema: string): string => `with moved as (
  update ${schema}.audit_dead d set again = true where ${chosen} and not d.again returning 1
) select count(*)::float8 as n from moved`

export const removeDeadSql = (schema: string): string => `with gone as (
  delete from ${schema}.audit_dead d where ${chosen} returning 1
) select count(*)::float8 as n from gone`

export const countDeadSql = (schema: string): string =>
  `select d.sink, count(*)::float8 as n from ${schema}.audit_dead d where d.log = $1 group by d.sink`
