/** Ends a lock that is still this load's. $1 name, $2 scope, $3 key, $4 lease, $5 node. */
export const unlockSql = (schema: string): string => `delete from ${schema}.cache_lock
where name = $1 and scope = $2 and key = $3 and lease = $4 and node = $5`

/** Renews locks that are still these loads', in the order in which they are taken.
 *  $1 name, $2 scopes, $3 keys, $4 leases, $5 node, $6 lock in ms. */
export const extendSql = (schema: string): string => `with held as (
  select l.scope, l.key from ${schema}.cache_lock l
  join unnest(string_to_array($2, E'\\n'), string_to_array($3, E'\\n'), string_to_array($4, E'\\n'))
    as mine(scope, key, lease) on l.name = $1 and l.scope = mine.scope and l.key = mine.key and l.lease = mine.lease
  where l.node = $5 order by l.scope, l.key for update of l
)
update ${schema}.cache_lock l set held_until = statement_timestamp() + $6::float8 * interval '1 ms'
from held where l.name = $1 and l.scope = held.scope and l.key = held.key`
