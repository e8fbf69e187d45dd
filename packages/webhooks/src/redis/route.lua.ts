import type { Script } from '@keelson/kernel/redis'
import { rowScript } from './record.lua.ts'
import { deliveryLua, stateLua } from './state.lua.ts'

/** Invariant: a scope is with one router until its lease ends. 1 round trip, O(events).
 *  ARGV limit, lease ms. Returns token, then of each scope its revision and events. */
export const takeScript: Script = rowScript(`${stateLua}${deliveryLua}
local left, ends = tonumber(ARGV[1]), now + tonumber(ARGV[2])
local scopes = call('ZRANGEBYSCORE', P .. ':waiting', '-inf', exact, 'LIMIT', 0, left)
if #scopes == 0 then return {''} end
local answer = { text(number()) }
for _, scope in ipairs(scopes) do
  if left <= 0 then break end
  call('ZADD', P .. ':waiting', ends, scope)
  call('SET', P .. ':router:' .. scope, answer[1])
  local taken = { revision_of(scope) }
  for _, id in ipairs(call('LRANGE', P .. ':u:' .. scope, 0, left - 1)) do
    local reply = event_reply(scope, id)
    if reply[1] then
      taken[#taken + 1] = reply
      left = left - 1
    else
      call('LREM', P .. ':u:' .. scope, 1, id)
      call('ZREM', P .. ':unrouted', pair(scope, id))
    end
  end
  answer[#answer + 1] = taken
end
return answer
`)

/** Invariant: an event is routed once, by the last router of its scope, against the audience of this moment.
 *  1 round trip, O(deliveries). ARGV count, then of each route scope, event, token, revision, count of deliveries; then
 *  id and endpoint of each. Returns 0 ok, 1 stale, 2 moved of each. */
export const routeScript: Script = rowScript(`${stateLua}${deliveryLua}
local kinds, at, tokens, again = {}, 2, {}, {}
for i = 1, tonumber(ARGV[1]) do
  local scope, id, token, revision = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local list = {}
  for j = 1, 2 * tonumber(ARGV[at + 4]) do list[j] = ARGV[at + 4 + j] end
  at = at + 5 + #list
  local e = event_of(scope, id)
  if not e or e.routed or call('GET', P .. ':router:' .. scope) ~= token then
    kinds[i] = 1
  elseif revision ~= revision_of(scope) then
    kinds[i], again[scope] = 2, true
  else
    deliver(e, list)
    call('LREM', P .. ':u:' .. scope, 1, id)
    call('ZREM', P .. ':unrouted', pair(scope, id))
    kinds[i] = 0
  end
  tokens[pair(scope, token)] = true
end
-- All that was taken has been told of: the next router need not wait for the lease.
for name in pairs(tokens) do
  local scope, token = parts(name)
  if not again[scope] and call('GET', P .. ':router:' .. scope) == token then
    call('DEL', P .. ':router:' .. scope)
    if call('EXISTS', P .. ':u:' .. scope) == 1 then call('ZADD', P .. ':waiting', exact, scope)
    else call('ZREM', P .. ':waiting', scope) end
  end
end
flush()
wake()
return kinds
`)
