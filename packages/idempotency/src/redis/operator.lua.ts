import { defineScript, type Script } from '@keelson/kernel/redis'
import { recordLua } from './record.lua.ts'

/** A record without its answer. KEYS record. Returns nil, or state, attempt, age ms, lease left ms, ms until it
 *  expires, bytes of the answer, nonce. */
export const peekScript: Script = defineScript(`${recordLua}
local r = get_record(KEYS[1])
if not r then return false end
local now = math.floor(now_us() / 1000)
local bytes = r.state == 1 and #r.payload or 0
return {r.state, r.attempt, now - r.began, math.max(0, r.lease_end - now), redis.call('PTTL', KEYS[1]), bytes, r.nonce}
`)

/** Ends a record by hand, and wakes who waits. 'forget' removes any but one with a living lease; 'retry' removes, and
 *  'answer' answers, one of which nobody knows how it ended. An answer raises the fence: its old owner stays out.
 *  KEYS record. ARGV 'forget' | 'retry' | 'answer', answer, channel, ref. Returns 1, or 0 when there was nothing to do. */
export const clearScript: Script = defineScript(`${recordLua}
local r = get_record(KEYS[1])
if not r then return 0 end
local alive = r.state == 0 and r.lease_end > math.floor(now_us() / 1000)
local ended = r.state == 1 or r.state == 2
if alive or (ended and ARGV[1] ~= 'forget') then return 0 end
if ARGV[1] == 'answer' then
  r.state, r.payload, r.lease_end, r.fence = 1, ARGV[2], 0, r.fence + 1
  redis.call('SET', KEYS[1], pack_record(r), 'KEEPTTL')
else
  redis.call('DEL', KEYS[1])
end
redis.pcall('PUBLISH', ARGV[3], ARGV[4])
return 1
`)
