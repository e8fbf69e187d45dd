import { epochOf, HARD, movedSql, NOT_OWN } from './rule.sql.ts'

/** Deletes invalid entries among the next ones in order, unless they were filled meanwhile.
 *  $1 name, $2 scope and $3 key to begin behind, $4 how many to look at. No row: it was the last. */
export const purgeSql = (schema: string): string => `with looked as materialized (
  select c.scope, c.key, c.fill, c.epoch is distinct from s.epoch or coalesce(c.open[1], c.at) <= s.floor
    or c.gone_at <= statement_timestamp() or ${movedSql({
      schema,
      scope: 'c.scope',
      tags: 'c.tags',
      at: 'c.at',
      open: 'c.open',
      and: `${NOT_OWN} and ${HARD}`,
    })} as is_invalid
  from ${schema}.cache_entry c
  left join (select ${epochOf('s')} as epoch, s.floor from ${schema}.cache_state s where s.name = $1) as s on true
  where c.name = $1 and (c.scope, c.key) > ($2, $3)
  order by c.scope, c.key limit $4::int
), deleted as (
  delete from ${schema}.cache_entry c using looked l
  where c.name = $1 and c.scope = l.scope and c.key = l.key and c.fill = l.fill and l.is_invalid returning 1
)
select scope, key, (select count(*)::int from deleted) as count from looked order by scope desc, key desc limit 1`

/** Deletes entries of a scope. $1 name, $2 scope, $3 how many. */
export const purgeScopeSql = (schema: string): string => `with deleted as (
  delete from ${schema}.cache_entry where ctid = any(array(
    select ctid from ${schema}.cache_entry where name = $1 and scope = $2 order by key limit $3::int for update
  )) returning 1
)
select count(*)::int as count from deleted`
