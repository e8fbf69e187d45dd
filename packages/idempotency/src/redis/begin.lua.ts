import { defineScript, type Script } from '@keelson/kernel/redis'
import { recordLua } from './record.lua.ts'

/** Claims a ref, or says who holds it; the order is that of decideBegin. A free ref's fence is the time in µs, which
 *  outlives the record of an older one. 1 round trip.
 *  KEYS record. ARGV nonce, alg (0: none), digest, lease ms, retain ms, '1' to take a lapsed record, meta.
 *  Returns {'yours', fence, attempt, checkpoint}, {'done', answer, attempt, nonce, meta}, {'tombstone', attempt, nonce},
 *  {'busy', lease left ms}, {'lapsed', attempt}, {'unknown'} or {'mismatch'}. */
export const beginScript: Script = defineScript(`${recordLua}
local nonce, alg, digest, meta = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[7]
local lease_ms, retain_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local us = now_us()
local now = math.floor(us / 1000)
local held = get_record(KEYS[1])
local r = { state = 0, fence = us, attempt = 1, nonce = nonce, alg = alg, digest = digest, lease_end = now + lease_ms,
  began = now, meta = meta, payload = '' }
if held then
  if alg ~= 0 and held.alg == alg and held.digest ~= digest then return {'mismatch'} end
  if held.state == 1 then return {'done', held.payload, held.attempt, held.nonce, held.meta} end
  if held.state == 2 then return {'tombstone', held.attempt, held.nonce} end
  if held.state == 3 then return {'unknown'} end
  if held.nonce == nonce then
    held.lease_end = now + lease_ms
    put_renewed(KEYS[1], held, lease_ms)
    return {'yours', held.fence, held.attempt, held.payload}
  end
  if held.lease_end > now then return {'busy', held.lease_end - now} end
  if ARGV[6] ~= '1' then return {'lapsed', held.attempt} end
  r.fence, r.attempt, r.payload = held.fence + 1, held.attempt + 1, held.payload
end
redis.call('SET', KEYS[1], pack_record(r), 'PX', math.max(retain_ms, lease_ms))
return {'yours', r.fence, r.attempt, r.payload}
`)
