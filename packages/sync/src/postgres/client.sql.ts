/** $1 device. */
export const clientSql = (schema: string): string => `select json_build_array(d.client, d.principal, d.top, d.top_here,
  d.pushed, d.offset_ms, d.pushed_ms, d.pulled_ms)::text as device from ${schema}.sync_client d where d.client = $1`

/** $1 device, $2 principal. */
export const pulledSql = (schema: string): string => `insert into ${schema}.sync_client (client, principal, pulled_ms)
values ($1, $2, ${schema}.sync_now())
on conflict (client) do update set pulled_ms = excluded.pulled_ms`
