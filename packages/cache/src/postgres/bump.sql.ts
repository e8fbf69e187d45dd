/** Invalidates, by appending alone. The number of its transaction is the stamp.
 *  $1 name, $2 scopes, $3 tags, $4 'true' or 'false' of each: softly, $5 true for a new epoch. */
export const bumpSql = (schema: string): string => `with dropped as (
  insert into ${schema}.cache_drop (name, scope, tag, soft)
  select $1, scope, tag, soft::boolean
  from unnest(string_to_array($2, E'\\n'), string_to_array($3, E'\\n'), string_to_array($4, E'\\n'))
    as given(scope, tag, soft)
), renewed as (
  insert into ${schema}.cache_state (name) select $1 where $5::boolean
  on conflict (name) do update set id = excluded.id
)
select pg_current_xact_id()::text as stamp`

/** The same in somebody's own transaction. $1 name, $2 scope, $3 tag. */
export const dropSql = (schema: string): string =>
  `insert into ${schema}.cache_drop (name, scope, tag) values ($1, $2, $3)`

/** Many of them. $1 names, $2 scopes, $3 tags. */
export const dropManySql = (schema: string): string => `insert into ${schema}.cache_drop (name, scope, tag)
select * from unnest(string_to_array($1, E'\\n'), string_to_array($2, E'\\n'), string_to_array($3, E'\\n'))`
