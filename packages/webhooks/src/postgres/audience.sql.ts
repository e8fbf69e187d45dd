/** The revision of a scope's audience with its endpoints and handlers as json. $1 scope. */
export const audienceSql = (schema: string): string => `select
  coalesce((select revision from ${schema}.webhook_audience where scope = $1), 0) || ':' || s.handlers_revision as revision,
  (select coalesce(json_agg(json_build_array(id, config) order by id), '[]') from ${schema}.webhook_endpoint
    where scope = $1 and left(id, 3) <> 'fn:')::text as endpoints,
  (select coalesce(json_agg(json_build_array(name, types) order by name), '[]') from ${schema}.webhook_handler
    where only_scope is null or only_scope = $1)::text as handlers
from ${schema}.webhook_state s`

/** Adds or changes handlers. The lock of the one row of state comes first: one at a time.
 *  $1 a list of { name, types, scope, rules, health, concurrency, lease_ms, rate_step_ms,
 *  rate_burst_ms }. */
export const registerSql = (schema: string): string => `with given as (
  select * from json_to_recordset($1::text::json) as r(name text, types text, scope text, rules text, health text,
    concurrency integer, lease_ms bigint, rate_step_ms float8, rate_burst_ms float8)
), changed as (
  select count(*) as n from given g left join ${schema}.webhook_handler h on h.name = g.name
  where (h.name, h.types, h.only_scope) is distinct from (g.name, g.types, g.scope)
), revised as (
  update ${schema}.webhook_state s set handlers_revision = s.handlers_revision + c.n from changed c where c.n > 0
)
insert into ${schema}.webhook_handler (name, types, only_scope, rules, health, concurrency, lease_ms,
  rate_step_ms, rate_burst_ms)
select g.name, g.types, g.scope, g.rules, g.health, g.concurrency, g.lease_ms, g.rate_step_ms, g.rate_burst_ms
from given g order by g.name
on conflict (name) do update set types = excluded.types, only_scope = excluded.only_scope, rules = excluded.rules,
  health = excluded.health, concurrency = excluded.concurrency, lease_ms = excluded.lease_ms, rate_step_ms = excluded.rate_step_ms,
  rate_burst_ms = excluded.rate_burst_ms`
