import type { Script } from '@keelson/kernel/redis'
import { rowScript } from './record.lua.ts'
import { deliveryLua, stateLua } from './state.lua.ts'

/** Removes what is over. ARGV limit, ms that attempts, deliveries, events and held ones are kept.
 *  Returns how many rows went. 1 round trip, O(limit). */
export const sweepScript: Script = rowScript(`${stateLua}${deliveryLua}
local limit, swept = tonumber(ARGV[1]), 0
local attempts_until, deliveries_until = now - ARGV[2], now - ARGV[3]
local events_until, held_until = now - ARGV[4], now - ARGV[5]
local function over(key, until_ms)
  return call('ZRANGEBYSCORE', P .. key, '-inf', text(until_ms), 'LIMIT', 0, max(0, limit - swept))
end

local function remove(name)
  local d = delivery_of(name)
  deliveries[name] = false
  call('DEL', P .. ':d:' .. name, P .. ':a:' .. name)
  for _, key in ipairs({ ':final', ':bare', ':logs' }) do call('ZREM', P .. key, name) end
  swept = swept + 1
  if not d then return end
  call('ZREM', P .. ':ds:' .. d.scope, d.id)
  call('ZREM', P .. ':de:' .. pair(d.scope, d.endpoint), d.id)
  call('ZREM', P .. ':dx:' .. d.scope, d.id)
  if d.status == 'dead' then count('dead', -1) end
  local e = event_of(d.scope, d.event)
  if not e then return end
  e.kept = e.kept - 1
  put_event(e)
  if e.kept == 0 then call('ZADD', P .. ':over', text(e.at), pair(d.scope, d.event)) end
end
for _, key in ipairs({ ':final', ':bare' }) do
  for _, name in ipairs(over(key, deliveries_until)) do remove(name) end
end

-- Takes the rows of a log that are over.
local function shorten(name)
  local d, oldest = delivery_of(name), false
  if not d then return remove(name) end
  for _, fence in ipairs(attempts_of(d)) do
    local at = attempt_of(d, fence).at
    if at <= attempts_until then
      drop_attempt(d, fence)
      swept = swept + 1
    else
      oldest = min(oldest or at, at)
    end
  end
  d.oldest = oldest
  put_delivery(d)
  if oldest then call('ZADD', P .. ':logs', text(oldest), name) else call('ZREM', P .. ':logs', name) end
  if is_open(d) then return end
  call('ZREM', P .. ':final', name)
  call('ZADD', P .. ':bare', text(d.finished), name)
end
for _, key in ipairs({ ':logs', ':final' }) do
  for _, name in ipairs(over(key, attempts_until)) do shorten(name) end
end

for _, n in ipairs(over(':held', held_until)) do
  local l = lane_of(n)
  if l then change(l) else index(':held', n, false) end
  local ids = l and call('ZRANGEBYSCORE', P .. ':o:' .. n, '-inf', text(held_until), 'LIMIT', 0, max(0, limit - swept))
  for _, id in ipairs(ids or {}) do
    local d = delivery_of(pair(l.scope, id))
    if not d then
      lose(l, pair(l.scope, id))
    elseif d.status == 'pending' then
      finish(d, l, 'dead', 'expired')
      swept = swept + 1
    end
  end
end

for _, name in ipairs(over(':over', events_until)) do
  local e = event_of(parts(name))
  call('DEL', P .. ':e:' .. name, P .. ':b:' .. name, P .. ':dv:' .. name)
  call('ZREM', P .. ':over', name)
  if e and e.subject then call('ZREM', P .. ':s:' .. pair(e.scope, e.subject), e.id) end
  if e and e.correlation then call('ZREM', P .. ':t:' .. e.correlation, name) end
  swept = swept + 1
end

local redrives = call('HGETALL', P .. ':redrives')
for i = 1, #redrives, 2 do
  local r = unpack_redrive(redrives[i + 1])
  if r.done and r.started <= deliveries_until then call('HDEL', P .. ':redrives', redrives[i]) end
end
flush()
return swept
`)
