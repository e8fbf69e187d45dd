import { defineScript, type Script } from '@keelson/kernel/redis'
import { stateLua } from './state.lua.ts'

/*
 * Members are a sorted set: '=', an id of the membership (12 bytes) and the node, by the end of the lease; and '#' and
 * the epoch: until that moment a lease may be alive of which the set knows nothing. Times are the server's, in ms.
 */

/** The leases that may be alive; needs stateLua. Where the set was lost, or the server's clock went forward, one that
 *  is unknown may be; where it went back, no lease ends later than one that began now. */
export const membersLua = `
-- A member is told for so many leases more: a clock that was set forward a little is not noticed, and would leave it with
-- a lease and without the message.
local KEPT = 2
local NODE = 14
local function note_unknown(key, state, now_ms, lease_ms, jumped)
  local mark = '#' .. state.id
  local ends = tonumber(redis.call('ZSCORE', key, mark) or '')
  if jumped or not ends then
    ends = now_ms + lease_ms
    redis.call('ZADD', key, ends, mark)
  end
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. text(now_ms + lease_ms), '+inf')) do
    redis.call('ZADD', key, now_ms + lease_ms, member)
  end
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', text(now_ms - KEPT * lease_ms))) do
    if member ~= mark then redis.call('ZREM', key, member) end
  end
  return math.max(0, math.min(ends - now_ms, lease_ms))
end
local function has_jumped(now, latest) return latest ~= '0' and now > tonumber(latest) end
`

/** Renews a member's lease, and tells the member over its own channel, behind all messages before: who hears it has
 *  heard them all. 1 round trip. KEYS state, members. ARGV an id for a new epoch, lease ms, '1' to register, id of the
 *  membership and node, the node's channel, an id of this call, the latest time (us) that can be. Returns the time (us). */
export const renewScript: Script = defineScript(`${stateLua}${membersLua}
local lease_ms = tonumber(ARGV[2])
local state, now = get_state(KEYS[1], ARGV[1])
local now_ms = math.floor(now / 1000)
note_unknown(KEYS[2], state, now_ms, lease_ms, has_jumped(now, ARGV[7]))
if ARGV[3] == '1' then redis.call('ZADD', KEYS[2], now_ms + lease_ms, '=' .. ARGV[4]) end
redis.call('PUBLISH', ARGV[5], 'm' .. ARGV[6] .. ' ' .. state.id .. ' ' .. state.said)
return text(now)
`)
