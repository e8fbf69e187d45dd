import type { Script } from '@keelson/kernel/redis'
import { rowScript } from './record.lua.ts'
import { stateLua } from './state.lua.ts'

/** Returns unrouted, pending, delivering, held, dead, endpoints active, paused, disabled, breakers open, then ms: oldest
 *  due, unrouted. 1 round trip, O(1). */
export const statusScript: Script = rowScript(`${stateLua}
local names = { 'pending', 'held', 'dead', 'active', 'paused', 'disabled', 'breakers' }
local c = call('HMGET', P .. ':counts', unpack(names))
for i = 1, #names do c[i] = tonumber(c[i] or 0) end
local function age(key)
  local first = call('ZRANGE', P .. key, 0, 0, 'WITHSCORES')
  return first[1] and text(max(0, now - first[2])) or '0'
end
local all_paused = call('EXISTS', P .. ':all-paused') == 1
return { call('ZCARD', P .. ':unrouted'), c[1], call('ZCARD', P .. ':leases'), all_paused and c[1] or c[2], c[3], c[4],
  c[5], c[6], c[7], all_paused and '0' or age(':due'), age(':unrouted') }
`)

/** ARGV classes of lanes. Returns ms until something may be claimed, reaped or routed, nil for nothing. */
export const nextDueScript: Script = rowScript(`${stateLua}
local at = math.huge
local function first(key)
  local top = call('ZRANGE', P .. key, 0, 0, 'WITHSCORES')
  if top[1] then at = min(at, tonumber(top[2])) end
end
first(':leases')
first(':waiting')
if call('EXISTS', P .. ':all-paused') == 0 then
  for _, class in ipairs(ARGV) do first(':ready:' .. class) end
end
return at < math.huge and text(max(0, at - exact)) or nil
`)
