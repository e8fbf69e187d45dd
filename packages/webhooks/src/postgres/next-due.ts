/** A lane in SQL: what of it decides when it may be claimed. */
interface LaneInSql {
  readonly lane: string
  readonly held: string
  readonly inFlight: string
  readonly capacity: string
  readonly redriven: string
  readonly againCapacity: string
  readonly untilMs: string
  readonly rateUsedMs: string
  readonly rateBurstMs: string
  readonly claimedMs: string
  readonly firstMs: string
  readonly mixed: string
}

/** The columns of `alias`, but those given. */
export function laneIn(alias: string, but: Partial<LaneInSql> = {}): LaneInSql {
  return {
    lane: `${alias}.lane`,
    held: `${alias}.held`,
    inFlight: `${alias}.in_flight`,
    capacity: `${alias}.capacity`,
    redriven: `${alias}.redriven`,
    againCapacity: `${alias}.again_capacity`,
    untilMs: `${alias}.until_ms`,
    rateUsedMs: `${alias}.rate_used_ms`,
    rateBurstMs: `${alias}.rate_burst_ms`,
    claimedMs: `${alias}.claimed_ms`,
    firstMs: `${alias}.first_ms`,
    mixed: `${alias}.mixed`,
    ...but,
  }
}

/** As SQL: nobody is attempting the delivery `q`. */
const UNLEASED = 'not exists (select from {schema}.webhook_lease e where e.scope = q.scope and e.id = q.id)'

/** As SQL: plain deliveries `q` of a lane that wait for nothing but their time; with finished ones, up to `first_ms`. */
export const plainOf = (lane: string): string =>
  `q.lane = ${lane} and q.line is null and not q.redriven and q.finished_ms is null and ${UNLEASED}`

/** As SQL: deliveries `q` of a lane with a key, or redriven ones, that wait for nothing but their time. */
export const mixedOf = (lane: string, redriven: boolean): string =>
  `q.lane = ${lane} and ${redriven ? 'q.redriven' : 'q.line is not null and not q.redriven'} and not q.waits and ${UNLEASED}`

/** As SQL: scope and id of all deliveries of the lane `l` that wait, for whatever. */
export const waitingOf = (columns: string): string => `select ${columns} from {schema}.webhook_delivery q
      where q.due_ms >= l.first_ms and ${plainOf('l.lane')}
      union all
      select ${columns} from {schema}.webhook_delivery q
      where q.lane = l.lane and (q.line is not null or q.redriven) and ${UNLEASED}`

/**
 * As SQL, when a lane may be claimed next: what `nextOf` of the model says. `but` names a delivery that no longer counts.
 * Exact only under the lane's lock; and of a mixed lane, in a statement that began behind it: else what was committed
 * meanwhile is missed.
 */
export function nextDue(lane: LaneInSql, but?: string): string {
  const first = (redriven: boolean): string => `(select q.due_ms from {schema}.webhook_delivery q
    where ${mixedOf(lane.lane, redriven)}${but === undefined ? '' : ` and q.id <> ${but}`}
    order by q.due_ms limit 1)`
  return `case when not ${lane.held} and ${lane.inFlight} < ${lane.capacity} then (
    select case when f.due_ms is not null then
      greatest(f.due_ms, ${lane.untilMs}, ${lane.rateUsedMs} - ${lane.rateBurstMs}, ${lane.claimedMs}) end
    from (select least(${lane.firstMs}, case when ${lane.mixed} then ${first(false)} end,
      case when ${lane.mixed} and ${lane.redriven} < ${lane.againCapacity} then ${first(true)} end)) as f(due_ms)) end`
}
