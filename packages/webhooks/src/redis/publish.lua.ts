import type { Script } from '@keelson/kernel/redis'
import { rowScript } from './record.lua.ts'
import { deliveryLua, stateLua } from './state.lua.ts'

/** Invariant: an event is written once, and routed at once only if nobody of its scope waits and its audience is the
 *  matched one. 1 round trip, O(events and deliveries).
 *  ARGV count, then of each event 12: scope, id, type, digest, key, subject, correlation, not before, about (what the
 *  client reads of it), body, revision ('' when not matched), count of deliveries; then id and endpoint of each.
 *  Returns 0 fresh, 1 duplicate, 2 conflict of each. */
export const publishScript: Script = rowScript(`${stateLua}${deliveryLua}
local kinds, at, fresh, unrouted = {}, 2, false, {}
local function is_routed(scope)
  if unrouted[scope] == nil then unrouted[scope] = call('EXISTS', P .. ':u:' .. scope) == 1 end
  return not unrouted[scope]
end
for i = 1, tonumber(ARGV[1]) do
  local scope, id, digest, revision = ARGV[at], ARGV[at + 1], ARGV[at + 3], ARGV[at + 10]
  local name, list = pair(scope, id), {}
  for j = 1, 2 * tonumber(ARGV[at + 11]) do list[j] = ARGV[at + 11 + j] end
  local e = event_of(scope, id)
  if e then
    kinds[i] = e.digest == digest and 1 or 2
  else
    kinds[i], fresh = 0, true
    e = new_event()
    e.scope, e.id, e.at, e.type, e.digest, e.key = scope, id, now, ARGV[at + 2], digest, some(ARGV[at + 4])
    e.subject, e.correlation, e.not_before = some(ARGV[at + 5]), some(ARGV[at + 6]), tonumber(ARGV[at + 7]) or false
    e.order, e.kept, e.rest = number(), 0, ARGV[at + 8]
    call('SET', P .. ':b:' .. name, ARGV[at + 9])
    if e.subject then call('ZADD', P .. ':s:' .. pair(scope, e.subject), e.order, id) end
    if e.correlation then call('ZADD', P .. ':t:' .. e.correlation, e.order, name) end
    if revision ~= '' and revision == revision_of(scope) and is_routed(scope) then
      deliver(e, list)
    else
      put_event(e)
      unrouted[scope] = true
      call('RPUSH', P .. ':u:' .. scope, id)
      call('ZADD', P .. ':unrouted', now, name)
      call('ZADD', P .. ':waiting', 'NX', exact, scope)
    end
  end
  at = at + 12 + #list
end
flush()
if fresh then wake() end
return kinds
`)
