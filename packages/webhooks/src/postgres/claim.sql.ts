import { laneIn, mixedOf, nextDue, plainOf } from './next-due.ts'
import { PLANNED } from './planned.ts'

const COLUMNS = 'q.scope, q.id, q.endpoint, q.event, q.fence, q.attempts, q.spent, q.redriven, q.due_ms, q.seq'

/** The first plain one of the lane `l`, with the place of the one behind it. */
const PLAIN = `select 0 as rank, o.*, lead(o.due_ms) over () as next_ms, lead(o.seq) over () as next_seq
        from (select ${COLUMNS} from {schema}.webhook_delivery q
          where (q.due_ms, q.seq) >= (l.first_ms, l.first_seq) and ${plainOf('l.lane')}
          order by q.due_ms, q.seq limit 2) as o limit 1`

const mixed = (rank: number, redriven: boolean): string => `select ${rank}, ${COLUMNS}, l.first_ms, l.first_seq
        from {schema}.webhook_delivery q where ${mixedOf('l.lane', redriven)}
        order by q.due_ms, q.seq limit 1`

/** The one of the lane `l` that goes first. */
const FIRST = `select * from (
        (${PLAIN}) union all (${mixed(0, false)}) union all (${mixed(1, true)})
      ) as any_of where due_ms <= now_ms and (rank = 0 or l.redriven < l.again_capacity)
      order by rank, due_ms, seq limit 1`

/** Leases what goes first of these lanes. */
const leaseOf = (first: string, isMixed: string): string => `with picked as materialized (
    select x.n, x.place, l.lane, l.lease_ms, l.suspect, p.*, greatest(p.fence + 1, now_us) as next_fence, ${nextDue(
      laneIn('l', {
        inFlight: 'l.in_flight + 1',
        redriven: 'l.redriven + p.redriven::integer',
        rateUsedMs: '(greatest(now_ms, l.rate_used_ms) + l.rate_step_ms)',
        claimedMs: 'now_ms',
        firstMs: 'p.next_ms',
        mixed: isMixed,
      }),
      'p.id',
    )} as next_due
    from unnest(lanes) with ordinality as x(place, n) join {schema}.webhook_lane l on l.ctid = x.place
    cross join lateral (
      ${first}
    ) as p
    where not l.held and l.in_flight < l.capacity and p.due_ms <= now_ms
  ), leased as (
    insert into {schema}.webhook_lease (scope, id, lane, fence, redriven, end_ms)
    select p.scope, p.id, p.lane, p.next_fence, p.redriven, now_ms + p.lease_ms from picked p
  ), taken as (
    update {schema}.webhook_lane l set
      in_flight = l.in_flight + 1, redriven = l.redriven + p.redriven::integer, claimed_ms = now_ms,
      rate_used_ms = coalesce(greatest(now_ms, l.rate_used_ms) + l.rate_step_ms, 0),
      first_ms = p.next_ms, first_seq = p.next_seq, next_due = p.next_due
    from picked p where l.ctid = p.place
  )
  select c.scope, c.endpoint, c.id, c.next_fence::text, c.lease_ms::float8, c.attempts, c.spent, c.suspect,
    v.type, v.body, v.id, v.key, v.channel, v.subject, v.endpoint, v.correlation, v.traceparent, v.created_ms::float8,
    v.erased, e.config, e.secrets, now_ms::float8
  from picked c join {schema}.webhook_event v on v.scope = c.scope and v.id = c.event
  join {schema}.webhook_endpoint e on e.lane = c.lane order by c.n`

/** Leases one due delivery of each of the lanes that wait longest. Never waits for anybody: a lane that is locked is
 *  passed over. What is due is read by a statement that began behind the locks, so it is as of now; nobody changes it
 *  until they are gone. Writes leases and lanes, and no delivery. Where no lane is mixed, a shorter statement does.
 *  Repeats `afterClaim`, `laneCapacity` and `redrivenCapacity` of lane.ts.
 *  p_classes: a list, of '', 'suspect' and 'fn:<name>'. */
export const claimSql: string = `create function {schema}.webhook_claim(p_limit integer, p_classes json)
returns table (scope text, endpoint text, delivery text, fence text, lease_ms float8, attempts integer, spent integer,
  suspect boolean, type text, body bytea, event text, key text, channel text, subject text, target text, correlation text,
  traceparent text, created_ms float8, erased boolean, config text, secrets text, now_ms float8) ${PLANNED} as $$
#variable_conflict use_column
declare
  now_ms bigint := {schema}.webhook_now();
  now_us bigint := extract(epoch from clock_timestamp()) * 1000000;
  -- Where their rows are: these stay there until we write them.
  lanes tid[];
  any_mixed boolean;
  claimed integer;
begin
  select array_agg(o.ctid order by o.next_due), bool_or(o.mixed) into lanes, any_mixed from (
    select ready.* from json_array_elements_text(p_classes) as c(class)
    cross join lateral (
      select l.ctid, l.next_due, l.mixed from {schema}.webhook_lane l
      where l.class = c.class and l.next_due <= now_ms and not (select s.paused from {schema}.webhook_state s)
      order by l.next_due limit p_limit for update skip locked) as ready
    order by ready.next_due limit p_limit) as o;
  if lanes is null then return; end if;
  -- Nobody waits for the disk: a claim that is lost with the server was none. Its fence is never given again, since that
  -- is at least the time, and it is not lost alone: what was committed behind it would be lost too.
  perform set_config('synchronous_commit', 'off', true);
  if any_mixed then
    return query ${leaseOf(FIRST, 'l.mixed')};
  else
    return query ${leaseOf(PLAIN, 'false')};
  end if;
  get diagnostics claimed = row_count;
  if claimed < cardinality(lanes) then
    perform {schema}.webhook_refresh(array(select l.lane from {schema}.webhook_lane l
      where l.ctid = any(lanes)), now_ms);
  end if;
end $$`
