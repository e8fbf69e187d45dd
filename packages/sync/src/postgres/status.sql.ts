/** $1 rows that are counted at most, of each kind. */
export const inspectSql = (schema: string): string => {
  const count = (of: string): string =>
    `(select count(*) from (select from ${schema}.${of} limit $1::integer) as x)::float8`
  return `select ${count('sync_record r where r.gone is null')} as records,
  ${count('sync_record r where r.gone is not null')} as tombstones, ${count('sync_op')} as ops,
  ${count("sync_conflict f where f.status = 'open'")} as conflicts, m.era::float8 as era,
  (${schema}.sync_now() - m.horizon_ms)::float8 as horizon_age_ms from ${schema}.sync_meta m`
}

/** $1 correlation id, $2 limit. */
export const traceSql = (schema: string): string => `select o.at_ms::float8 as at_ms, o.client, o.op, o.result
from ${schema}.sync_op o where o.correlation = $1 order by o.at_ms, o.client, o.op limit $2::integer`
