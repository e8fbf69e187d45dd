import { defineScript, type Script } from '@keelson/kernel/redis'
import { recordLua } from './record.lua.ts'

/** Renews a lease, only for whoever has its nonce and its fence. 1 round trip.
 *  KEYS record. ARGV nonce, fence, lease ms, and a checkpoint when there is one. Returns 1, or 0 when it is not ours. */
export const touchScript: Script = defineScript(`${recordLua}
local lease_ms = tonumber(ARGV[3])
local r = get_own(KEYS[1], ARGV[1], ARGV[2])
if not r or r.state ~= 0 then return 0 end
r.lease_end = math.floor(now_us() / 1000) + lease_ms
if ARGV[4] then r.payload = ARGV[4] end
put_renewed(KEYS[1], r, lease_ms)
return 1
`)
