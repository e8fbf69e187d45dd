import { nextDue, laneIn } from './next-due.ts'
import { PLANNED } from './planned.ts'

/** What may be in flight after the successes `w` of the lane `l`. */
const WIDTH = 'case when w.fast > 0 then least(l.width + w.fast, l.concurrency) else l.width end'

/** Ends claims whose attempts succeeded, which most do: in one flight, and with one new version of the delivery's row in
 *  the place of the first. Repeats `afterSignal` and `afterEnd` of lane.ts for a success. Answers
 *  the places of those that it has ended, from 1, below 0 where the lane had failed before. The others are left to
 *  webhook_load and webhook_write: their lease was lost, or the rules of their lane have changed.
 *  Lists in pairs, without repeats; p_rule is a place in p_rules, where null is any; p_healthy is the health of a lane without history. */
export const succeedSql: string = `create function {schema}.webhook_succeed(p_scopes text[], p_ids text[],
  p_fences bigint[], p_fast boolean[], p_rule integer[], p_durations float8[], p_statuses integer[], p_remotes text[],
  p_responses text[], p_rules text[], p_healthy text) returns text ${PLANNED} as $$
declare
  now_ms bigint;
  ended text;
  keyed_lanes bigint[];
  keys text[];
  mixed_lanes bigint[];
begin
  perform 1 from {schema}.webhook_lane l where l.lane = any(array(
    select e.lane from unnest(p_scopes, p_ids) as t(s, d)
    join {schema}.webhook_lease e on e.scope = t.s and e.id = t.d)) order by l.lane for update;
  now_ms := {schema}.webhook_now();
  with given as materialized (
    select t.*, e.ctid as lease, l.lane, l.ctid as place, l.mixed, e.redriven, case when l.health <> p_healthy then
        l.health::json->>'openUntilMs' is not null or (l.health::json->>'noticed')::integer > 0 else false
      end as recovers
    from unnest(p_scopes, p_ids, p_fences, p_fast, p_rule, p_durations, p_statuses, p_remotes, p_responses)
      with ordinality as t(s, d, fence, fast, rule, duration_ms, status, remote, response, n)
    join {schema}.webhook_lease e on e.scope = t.s and e.id = t.d and e.fence = t.fence
    join {schema}.webhook_lane l on l.lane = e.lane and l.removed_ms is null and l.rules = coalesce(p_rules[t.rule], l.rules)
  ), over as (
    delete from {schema}.webhook_lease e using given g where e.ctid = g.lease
  ), finished as (
    update {schema}.webhook_delivery d set attempts = d.attempts + 1, spent = d.spent + 1, crashes = 0, fence = g.fence,
      reason = null, finished_ms = now_ms, line = null, redriven = false
    from given g where d.scope = g.s and d.id = g.d
    returning d.scope, d.id, d.attempts, d.key, g.*
  ), logged as (
    insert into {schema}.webhook_attempt
    select f.scope, f.id, f.fence, f.attempts, floor(now_ms - f.duration_ms), f.duration_ms, 'success', f.status,
      f.remote, f.response, null from finished f
  ), told as (
    select g.place, count(*)::integer as n, count(*) filter (where g.redriven)::integer as again,
      count(*) filter (where g.fast)::integer as fast
    from given g group by g.place
  ), freed as (
    update {schema}.webhook_lane l set in_flight = l.in_flight - w.n, redriven = l.redriven - w.again, width = ${WIDTH},
      capacity = least(${WIDTH}, l.concurrency), again_capacity = greatest(1, least(${WIDTH}, l.concurrency) / 4),
      until_ms = null, suspect = l.suspect and w.fast = 0,
      class = case when l.class = 'suspect' and w.fast > 0 then '' else l.class end, health = p_healthy,
      next_due = case when l.mixed then l.next_due else ${nextDue(
        laneIn('l', {
          inFlight: 'l.in_flight - w.n',
          capacity: `least(${WIDTH}, l.concurrency)`,
          untilMs: 'null',
          mixed: 'false',
        }),
      )} end
    from told w where l.ctid = w.place
  )
  select string_agg(case when f.recovers then -f.n else f.n end::text, ','),
    array_agg(f.lane) filter (where f.key is not null), array_agg(f.key) filter (where f.key is not null),
    array_agg(f.lane) filter (where f.mixed)
    into ended, keyed_lanes, keys, mixed_lanes
    from finished f;
  if mixed_lanes is not null then
    perform {schema}.webhook_promote(keyed_lanes, keys);
    perform {schema}.webhook_refresh(mixed_lanes, now_ms);
  end if;
  return ended;
end $$`
