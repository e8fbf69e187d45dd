/** Had by whoever comes when nobody has it, or by its owner, who gets a new fence too. $1 log, $2 sink, $3 owner, $4 ms.
 *  No row: somebody else has it. */
export const claimSql = (schema: string): string => `insert into ${schema}.audit_cursor as c (log, sink, owner, ends_ms)
values ($1, $2, $3, ${schema}.audit_now() + $4::float8::bigint)
on conflict (log, sink) do update set fence = c.fence + 1, owner = excluded.owner, ends_ms = excluded.ends_ms
where c.owner = excluded.owner or c.ends_ms <= ${schema}.audit_now()
returning c.fence::float8 as fence, c.at::float8 as at, c.state`

/** $1 log, $2 sink, $3 fence, $4 to, $5 ms, $6 true to keep $7, the state. */
export const advanceSql = (schema: string): string => `update ${schema}.audit_cursor c set
  at = $4::float8::bigint, ends_ms = ${schema}.audit_now() + $5::float8::bigint,
  state = case when $6::boolean then $7::text else c.state end
where c.log = $1 and c.sink = $2 and c.fence = $3::float8::bigint and c.at <= $4::float8::bigint returning 1`

/** $1 log, $2 sink, $3 fence. */
export const releaseSql = (schema: string): string => `update ${schema}.audit_cursor set ends_ms = 0
where log = $1 and sink = $2 and fence = $3::float8::bigint`
