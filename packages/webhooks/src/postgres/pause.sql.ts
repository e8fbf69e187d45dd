import { laneIn, nextDue } from './next-due.ts'
import { PLANNED } from './planned.ts'

/** Stops or starts the lanes of a scope, those to come too. */
export const pauseSql: string = `create function {schema}.webhook_pause(p_scope text, p_paused boolean) returns void ${PLANNED} as $$
declare
  now_ms bigint;
  lanes bigint[];
begin
  insert into {schema}.webhook_audience as a (scope, paused) values (p_scope, p_paused)
    on conflict (scope) do update set paused = excluded.paused;
  lanes := array(select e.lane from {schema}.webhook_endpoint e where e.scope = p_scope);
  perform 1 from {schema}.webhook_lane l where l.lane = any(lanes) order by l.lane for update;
  now_ms := {schema}.webhook_now();
  update {schema}.webhook_lane l set scope_paused = p_paused,
    held_since_ms = case when p_paused or l.state <> 'active' then coalesce(l.held_since_ms, now_ms) end,
    oldest_ms = case when p_paused or l.state <> 'active' then coalesce(l.oldest_ms, now_ms) end,
    next_due = ${nextDue(laneIn('l', { held: "(p_paused or l.state <> 'active')" }))}
  where l.lane = any(lanes);
end $$`
