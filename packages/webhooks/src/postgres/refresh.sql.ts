import { laneIn, nextDue, plainOf } from './next-due.ts'
import { PLANNED } from './planned.ts'

/** Looks anew what waits first in lanes, and when they may be claimed. Under their locks; since their rows were written,
 *  no plain delivery of them has become due before p_low. */
export const refreshSql: string = `create function {schema}.webhook_refresh(p_lanes bigint[], p_low bigint)
returns void ${PLANNED} as $$
begin
  update {schema}.webhook_lane l set first_ms = n.first_ms, first_seq = n.first_seq, mixed = n.mixed, next_due = n.next_due
  from (
    select o.lane, f.first_ms, f.first_seq, m.mixed,
      ${nextDue(laneIn('o', { firstMs: 'f.first_ms', mixed: 'm.mixed' }))} as next_due
    from {schema}.webhook_lane o
    cross join lateral (select exists (select from {schema}.webhook_delivery q
      where q.lane = o.lane and (q.line is not null or q.redriven)) as mixed) as m
    left join lateral (select q.due_ms as first_ms, q.seq as first_seq from {schema}.webhook_delivery q
      where (q.due_ms, q.seq) >= (least(o.first_ms, p_low), case when o.first_ms < p_low then o.first_seq else 0 end)
        and ${plainOf('o.lane')}
      order by q.due_ms, q.seq limit 1) as f on true
    where o.lane = any(p_lanes)
  ) as n
  where l.lane = n.lane;
end $$`
