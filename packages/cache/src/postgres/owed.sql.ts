/** Owes a drop to a tier elsewhere, in somebody's own transaction.
 *  $1 id, $2 name, $3 scope, $4 tag, $5 operation, $6 correlation id. */
export const oweSql = (schema: string): string =>
  `insert into ${schema}.cache_owed (id, name, scope, tag, operation, correlation)
values ($1, $2, $3, $4, $5, $6)`

/** Many of them. $1 ids, $2 names, $3 scopes, $4 tags, $5 operations, $6 correlation ids. */
export const oweManySql = (
  schema: string,
): string => `insert into ${schema}.cache_owed (id, name, scope, tag, operation, correlation)
select id::uuid, name, scope, tag, operation, correlation from unnest(string_to_array($1, E'\\n'), string_to_array($2, E'\\n'),
  string_to_array($3, E'\\n'), string_to_array($4, E'\\n'), string_to_array($5, E'\\n'),
  string_to_array($6, E'\\n')) as given(id, name, scope, tag, operation, correlation)`

const COLUMNS = 'id::text as id, name, scope, tag, operation'

/** Locks the oldest rows that no other relay holds. What is visible is committed, so its age is that of the insert: it
 *  travels with COMMIT, in one flight. $1 name, $2 age in ms, $3 how many. */
export const claimOwedSql = (schema: string): string => `select ${COLUMNS} from ${schema}.cache_owed
where name = $1 and at <= clock_timestamp() - $2::float8 * interval '1 ms'
order by at limit $3::int for update skip locked`

/** All that is visible: a row that a relay holds is still unpaid. $1 name, $2 how many or null. */
export const pendingSql = (schema: string): string => `select ${COLUMNS} from ${schema}.cache_owed
where name = $1 order by at limit $2::int`

/** Those of one operation. $1 name, $2 how many or null, $3 operation. */
export const pendingOfSql = (schema: string): string => `select ${COLUMNS} from ${schema}.cache_owed
where name = $1 and operation = $3 order by at limit $2::int`

/** $1 ids. */
export const doneSql = (schema: string): string => `delete from ${schema}.cache_owed
where id = any(string_to_array($1, E'\\n')::uuid[])`

/** $1 name. */
export const backlogSql = (schema: string): string => `select count(*)::int as rows,
  coalesce(greatest(0, extract(epoch from clock_timestamp() - min(at)) * 1000), 0)::float8 as oldest_ms
from ${schema}.cache_owed where name = $1`

/** The table is short, so it has no index for this. $1 name, $2 correlation id. */
export const traceSql = (schema: string): string => `select scope, tag, extract(epoch from at)::float8 * 1000 as at
from ${schema}.cache_owed where name = $1 and correlation = $2 order by at limit 1000`
