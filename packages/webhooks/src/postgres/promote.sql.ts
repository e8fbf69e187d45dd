import { PLANNED } from './planned.ts'

/** The first of each line goes. Under the locks of the lanes; lists in pairs. */
export const promoteSql: string = `create function {schema}.webhook_promote(p_lanes bigint[], p_keys text[])
returns void ${PLANNED} as $$
begin
  for i in 1 .. coalesce(cardinality(p_lanes), 0) loop
    update {schema}.webhook_delivery d set waits = false
    where d.waits and (d.scope, d.id) = (
      select o.scope, o.id from {schema}.webhook_delivery o
      where o.lane = p_lanes[i] and o.key = p_keys[i] and o.line is not null
      order by o.line limit 1);
  end loop;
end $$`
