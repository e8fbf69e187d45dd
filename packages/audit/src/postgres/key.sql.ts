/** $1 log, $2 entries. */
export const keysSql = (schema: string): string => `select k.scope, k.ref, k.entry::text as entry,
  encode(k.wrapped, 'base64') as wrapped from ${schema}.audit_key k
where k.entry = any(string_to_array($2::text, ',')::uuid[]) and k.log = $1 order by k.entry, k.scope, k.ref`

/** $1 log, $2 scope, $3 ref. */
export const destroyKeysSql = (schema: string): string => `with gone as (
  delete from ${schema}.audit_key k where k.log = $1 and k.scope = $2 and k.ref = $3 returning 1
) select count(*)::float8 as n from gone`
