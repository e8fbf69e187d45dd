/** The revision of a scope's audience with its endpoints and handlers as json. $1 scope. */
export const audienceSql = (schema: string): string => `select
  coalesce((select revision from ${schema}.webhook_audience where scope = $1), 0) || ':' || s.handlers_revision as revision,
  (select coalesce(json_agg(json_build_array(id, config) order by id), '[]') from ${schema}.webhook_endpoint
    where scope = $1 and left(id, 3) <> 'fn:')::text as endpoints,
  (select coalesce(json_agg(json_build_array(name, types) order by name), '[]') from ${schema}.webhook_handler
    where only_scope is null or only_scope = $1)::text as handlers
from ${schema}.webhook_state s`

/** Adds or changes handlers, by name, so that two nodes cannot wait for each other. What has changed is told by the rows as
 *  they are behind their locks: this statement's own snapshot does not see what another node has just registered.
 *  $1 a list of { name, types, scope, rules, health, concurrency, lease_ms, rate_step_ms,
 *  rate_burst_ms }. */
export const registerSql = (schema: string): string => `with given as (
  select * from json_to_recordset($1::text::json) as r(name text, types text, scope text, rules text, health text,
    concurrency integer, lease_ms bigint, rate_step_ms float8, rate_burst_ms float8)
), changed as (
  insert into ${schema}.webhook_handler as h (name, types, only_scope, rules, health, concurrency, lease_ms,
    rate_step_ms, rate_burst_ms)
  select g.name, g.types, g.scope, g.rules, g.health, g.concurrency, g.lease_ms, g.rate_step_ms, g.rate_burst_ms
  from given g order by g.name collate "C"
  on conflict (name) do update set types = excluded.types, only_scope = excluded.only_scope, rules = excluded.rules,
    health = excluded.health, concurrency = excluded.concurrency, lease_ms = excluded.lease_ms,
    rate_step_ms = excluded.rate_step_ms, rate_burst_ms = excluded.rate_burst_ms
  where (h.types, h.only_scope, h.rules) is distinct from (excluded.types, excluded.only_scope, excluded.rules)
  returning 1
)
update ${schema}.webhook_state set handlers_revision = handlers_revision + 1 where exists (select from changed)`
