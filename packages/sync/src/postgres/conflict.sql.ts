const columns = `f.id, f.scope, f.c, f.record, f.code, f.op, f.current, f.principal, f.client, f.at_ms::float8 as at_ms, f.status`

/** $1 scopes, $2 status, $3 id of the last one before, $4 limit. */
export const conflictsSql = (schema: string): string => `select ${columns}
from unnest($1::text::text[]) as s(name) cross join lateral (select * from ${schema}.sync_conflict o
  where o.scope = s.name and o.status = $2 and o.id > $3::text order by o.id limit $4::integer) as f
order by f.id limit $4::integer`

/** $1 id. */
export const conflictSql = (schema: string): string =>
  `select ${columns} from ${schema}.sync_conflict f where f.id = $1`

/** $1 device. */
export const openConflictsSql = (schema: string): string => `select count(*)::float8 as n from ${schema}.sync_conflict f
where f.client = $1 and f.status = 'open'`
