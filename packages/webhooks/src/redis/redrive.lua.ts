import type { Script } from '@keelson/kernel/redis'
import { rowScript } from './record.lua.ts'
import { deliveryLua, stateLua } from './state.lua.ts'

/** ARGV id, scope, endpoint, from ms, to ms ('' for any), status, per second. */
export const startRedriveScript: Script = rowScript(`${stateLua}
call('HSET', P .. ':redrives', ARGV[1], pack_redrive({ scope = ARGV[2], endpoint = some(ARGV[3]),
  from = tonumber(ARGV[4]), to = tonumber(ARGV[5]), status = ARGV[6], per_second = tonumber(ARGV[7]), started = now,
  moved = 0, cursor = '' }))
call('SADD', P .. ':running', ARGV[1])
`)

/** ARGV scope, id. Returns 1 when done, and how many were moved; nil for none. */
export const redriveStatusScript: Script = rowScript(`${stateLua}
local packed = call('HGET', P .. ':redrives', ARGV[2])
local r = packed and unpack_redrive(packed)
if not r or r.scope ~= ARGV[1] then return nil end
return { r.done and 1 or 0, r.moved }
`)

/** Moves what the pace allows by now, the first at once; what ended after the start has had its turn. ARGV limit.
 *  Returns how many moved, and 1 when it has read its 500 rows and must go on. 1 round trip. */
export const redriveScript: Script = rowScript(`${stateLua}${deliveryLua}
local moved, unread = 0, 500
local function goes(d, r)
  local l = lane_of(d.n)
  return l and not l.removed and d.finished and d.finished <= r.started and d.status == r.status
    and (r.endpoint or d.endpoint) == d.endpoint and d.at >= (r.from or -math.huge) and d.at < (r.to or math.huge)
    and not is_erased(d.scope, d.event)
end
for _, id in ipairs(call('SMEMBERS', P .. ':running')) do
  if unread <= 0 then break end
  local r = unpack_redrive(call('HGET', P .. ':redrives', id))
  local allowed = 1 + floor((now - r.started) * r.per_second / 1000)
  local left = min(tonumber(ARGV[1]) - moved, allowed - r.moved)
  local ids = call('ZRANGEBYLEX', P .. ':dx:' .. r.scope, r.cursor == '' and '-' or '(' .. r.cursor, '+', 'LIMIT', 0, unread)
  local done = #ids < unread
  for _, each in ipairs(ids) do
    local d = delivery_of(pair(r.scope, each))
    if goes(d, r) then
      if left <= 0 then
        done = false
        break
      end
      reopen(d, lane_of(d.n), true)
      left, moved, r.moved = left - 1, moved + 1, r.moved + 1
    end
    r.cursor, unread = each, unread - 1
  end
  if done then
    r.done = true
    call('SREM', P .. ':running', id)
  end
  call('HSET', P .. ':redrives', id, pack_redrive(r))
end
flush()
if moved > 0 then wake() end
return { moved, unread <= 0 and 1 or 0 }
`)
