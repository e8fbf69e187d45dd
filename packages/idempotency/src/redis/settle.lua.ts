import { defineScript, type Script } from '@keelson/kernel/redis'
import { recordLua } from './record.lua.ts'

/** Ends a run, only for whoever has its nonce and its fence, and wakes who waits. A repeat changes nothing more. 1 round trip.
 *  KEYS record. ARGV nonce, fence, state (0: as if it had never been, 4: its lease is over), answer, retain ms, channel, ref.
 *  Returns 1 when it is ended so, 0 when it is not ours. */
export const settleScript: Script = defineScript(`${recordLua}
local state = tonumber(ARGV[3])
local r = get_own(KEYS[1], ARGV[1], ARGV[2])
if not r then return 0 end
if r.state ~= 0 then
  if r.state ~= state then return 0 end
  -- Written again, so that WAIT on another connection waits for it.
  redis.call('SET', KEYS[1], pack_record(r), 'KEEPTTL')
  return 1
end
if state == 0 then
  redis.call('DEL', KEYS[1])
elseif state == 4 then
  r.lease_end = 0
  redis.call('SET', KEYS[1], pack_record(r), 'KEEPTTL')
else
  r.state, r.payload, r.lease_end = state, ARGV[4], 0
  redis.call('SET', KEYS[1], pack_record(r), 'PX', ARGV[5])
end
-- A hint: an ACL user without channels has ended the run all the same.
redis.pcall('PUBLISH', ARGV[6], ARGV[7])
return 1
`)
