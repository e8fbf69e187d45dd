import { defineScript, type Script } from '@keelson/kernel/redis'
import { entryLua } from './entry.lua.ts'
import { lockLua } from './lock.lua.ts'
import { stateLua } from './state.lua.ts'

/** Invariant: an entry older than any of its tags is never stored. Ends the load's lock in any case. 1 round trip.
 *  KEYS state, entry, lock. ARGV epoch, stamp, time of the lease (us), owner of the lock, scope, longest load (ms), ttl
 *  (ms), grace (ms), load (ms), rest of the head, body, channel, message for who waits. Returns 1 when it is stored. */
export const fillScript: Script = defineScript(`${stateLua}${entryLua}${lockLua}
local epoch, stamp, since = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local state, now = get_state(KEYS[1])
-- Its time may be another clock's since: then nobody knows how old it is.
local in_time = now >= since and now - since <= ARGV[6] * 1000
local loaded = {epoch = epoch, stamp = stamp, ends = math.huge, tags = tags_of(ARGV[10], 1)}
local there = get_entry(KEYS[2])
local is_newest = not there or there.epoch ~= epoch or there.stamp <= stamp
local stored = in_time and is_newest and turns_stale(KEYS[1], state, ARGV[5], loaded, now)
if stored then
  put_entry(KEYS[2], epoch, stamp, now, tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10], ARGV[11])
end
local held = get_lock(KEYS[3])
local own = is_own(held, ARGV[4])
if own then redis.call('DEL', KEYS[3]) end
if own or stored then wake(held, ARGV[12], ARGV[13]) end
return stored and 1 or 0
`)
