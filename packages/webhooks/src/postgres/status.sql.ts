/** Ms until something may be claimed, reaped or routed; null when nothing waits for time. Of unrouted events the first
 *  thousand are looked at. $1 classes of lanes as webhook_claim takes them. */
export const nextDueSql = (
  schema: string,
): string => `select case when due.at_ms is not null then greatest(0, due.at_ms - ${schema}.webhook_now()) end::float8 as ms
from (select least(
  (select e.end_ms from ${schema}.webhook_lease e order by 1 limit 1),
  (select min(f.next_due) from ${schema}.webhook_state s, json_array_elements_text($1::text::json) as c(class)
    cross join lateral (select l.next_due from ${schema}.webhook_lane l
      where l.class = c.class and l.next_due is not null order by l.next_due limit 1) as f
    where not s.paused),
  (select min(coalesce(r.ends_ms, 0)) from (
      select distinct e.scope from (
        select u.scope from ${schema}.webhook_event u where not u.routed order by u.seq limit 1000) as e) as w
    left join ${schema}.webhook_router r on r.scope = w.scope)
)) as due(at_ms)`

/** As SQL: open plain deliveries behind where the lane `l` stands; those on their way have mostly passed it. */
const BEHIND = `q.lane = l.lane and q.line is null and not q.redriven and q.finished_ms is null
      and (q.due_ms, q.seq) >= (l.first_ms, l.first_seq)`

/** Numbers for operators, each by an index that is as long as its number. */
export const inspectSql = (schema: string): string => `select
  (select count(*) from ${schema}.webhook_event where not routed)::float8 as unrouted,
  coalesce(open.pending, 0)::float8 as pending, coalesce(open.held, 0)::float8 as held,
  (select count(*) from ${schema}.webhook_lease)::float8 as delivering,
  (select count(*) from ${schema}.webhook_delivery where failed = 'dead')::float8 as dead,
  lanes.active::float8 as active, lanes.paused::float8 as paused, lanes.disabled::float8 as disabled,
  lanes.breakers::float8 as breakers,
  coalesce(greatest(0, now.ms - open.oldest), 0)::float8 as oldest_due_ms,
  coalesce(now.ms - (select created_ms from ${schema}.webhook_event where not routed order by seq limit 1), 0)::float8
    as unrouted_ms,
  (s.conflicts + (select count(*) from ${schema}.webhook_conflict))::float8 as conflicts
from ${schema}.webhook_state s, (select ${schema}.webhook_now()) as now(ms), lateral (
  select sum(plain.n + mixed.n - leased.n) as pending,
    sum(plain.n + mixed.n - leased.n) filter (where l.held or s.paused) as held,
    min(least(l.first_ms, mixed.due_ms)) filter (where not l.held and not s.paused
      and l.health::json->>'openUntilMs' is null) as oldest
  from ${schema}.webhook_lane l
  cross join lateral (select count(*) as n from ${schema}.webhook_delivery q where ${BEHIND}) as plain
  cross join lateral (
    select count(*) as n, min(q.due_ms) filter (where not q.waits) as due_ms from ${schema}.webhook_delivery q
    where l.mixed and q.lane = l.lane and (q.line is not null or q.redriven) and not exists (
      select from ${schema}.webhook_lease e where e.scope = q.scope and e.id = q.id)) as mixed
  cross join lateral (
    select count(*) as n from ${schema}.webhook_lease e
    join ${schema}.webhook_delivery q on q.scope = e.scope and q.id = e.id
    where l.in_flight > 0 and e.lane = l.lane and ${BEHIND}) as leased
  where l.removed_ms is null and (l.first_ms is not null or l.mixed)
) as open, lateral (
  select count(*) filter (where e.id is not null and l.state = 'active') as active,
    count(*) filter (where e.id is not null and l.state = 'paused') as paused,
    count(*) filter (where e.id is not null and l.state = 'disabled') as disabled,
    count(*) filter (where l.health::json->>'openUntilMs' is not null) as breakers
  from ${schema}.webhook_lane l
  left join ${schema}.webhook_endpoint e on e.lane = l.lane and left(e.id, 3) <> 'fn:'
  where l.removed_ms is null
) as lanes`
