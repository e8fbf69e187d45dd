import { defineScript, type Script } from '@keelson/kernel/redis'
import { quotaLua } from './quota.lua.ts'

/** Takes units of one take back, where they still count. KEYS a counter each. ARGV units, then of each quota its
 *  algorithm, token and a unit's us (gcra). 1 round trip, O(units). */
export const refundScript: Script = defineScript(`${quotaLua}
local function log(key, units, token)
  local taken = call('ZRANGEBYSCORE', key, token, token, 'LIMIT', 0, units)
  if #taken > 0 then call('ZREM', key, unpack(taken)) end
end
local function buckets(key, units, token)
  local held = tonumber(call('HGET', key, token) or 0)
  if held > units then call('HINCRBY', key, token, -units) else call('HDEL', key, token) end
end
local function gcra(key, units, token, unit)
  local tat, number = pair(key)
  if not tat then return end
  local last_flows = tat - (number - tonumber(token)) * unit
  local back = max(0, min(units * unit, last_flows - now))
  call('SET', key, text(tat - back) .. ':' .. text(number), 'KEEPTTL')
end
local function period(key, units, token)
  local begins, held = pair(key)
  if not begins or begins ~= tonumber(token) then return end
  call('SET', key, text(begins) .. ':' .. text(max(0, held - units)), 'KEEPTTL')
end
local algorithms = { log = log, buckets = buckets, gcra = gcra, fixed = period, calendar = period }
local units = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  local at = 3 * i - 1
  algorithms[ARGV[at]](key, units, ARGV[at + 1], tonumber(ARGV[at + 2]))
end
`)
