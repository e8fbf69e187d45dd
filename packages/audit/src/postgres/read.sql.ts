import { bodyOf, leafColumns } from './leaf-row.ts'

/** $1 log, $2 first index, $3 rows and $4 bytes at most. */
export const readSql = (schema: string): string => `select ${leafColumns('s')}, encode(s.body, 'base64') as body
from (
  select b.*, sum(octet_length(b.body)) over (order by b.idx rows unbounded preceding) as bytes,
    row_number() over (order by b.idx) as n
  from (
    select l.*, ${bodyOf(schema, 'l')} as body from ${schema}.audit_leaf l
    where l.log = $1 and l.idx >= $2::float8::bigint order by l.idx limit $3::integer
  ) as b
) as s where s.n = 1 or coalesce(s.bytes, 0) <= $4::float8::bigint order by s.idx`

/** $1 log, $2 id. */
export const findSql = (
  schema: string,
): string => `select ${leafColumns('l')}, encode(${bodyOf(schema, 'l')}, 'base64') as body
from ${schema}.audit_leaf l where l.id = $2::uuid and l.log = $1`

/** $1 log, $2 levels, $3 numbers of tiles, in the order of the answer. */
export const tilesSql = (schema: string): string => `select encode(t.hashes, 'base64') as hashes
from unnest(string_to_array($2::text, ',')::integer[], string_to_array($3::text, ',')::bigint[])
  with ordinality as g(level, n, place)
left join ${schema}.audit_tile t on t.log = $1 and t.level = g.level and t.n = g.n order by g.place`

/** $1 log. No row: nothing is sealed. */
export const headSql = (schema: string): string => `select h.size::float8 as size,
  encode(h.frontier, 'base64') as frontier, h.pruned::float8 as pruned from ${schema}.audit_head h where h.log = $1`
