import { defineScript, type Script } from '@keelson/kernel/redis'
import { recordLua } from './record.lua.ts'

/** Claims a ref, or says who holds it; the order is that of decideBegin. A free ref's fence is the time in µs, which
 *  outlives the record of an older one. 1 round trip.
 *  KEYS record. ARGV nonce, alg (0: none), digest, lease ms, retain ms, '1' to take a lapsed record, meta.
 *  Returns {'yours', skipped, fence, attempt, checkpoint}, {'done', skipped, answer, attempt, nonce, meta},
 *  {'tombstone', skipped, attempt, nonce}, {'busy', skipped, lease left ms}, {'lapsed', skipped, attempt},
 *  {'unknown', skipped} or {'mismatch'}; skipped is 1 where the fingerprints are of two algorithms. */
export const beginScript: Script = defineScript(`${recordLua}
local nonce, alg, digest, meta = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[7]
local lease_ms, retain_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local us = now_us()
local now = math.floor(us / 1000)
local held = get_record(KEYS[1])
local r = { state = 0, fence = us, attempt = 1, nonce = nonce, alg = alg, digest = digest, lease_end = now + lease_ms,
  began = now, meta = meta, payload = '' }
local skipped = 0
if held then
  if alg ~= 0 and held.alg == alg and held.digest ~= digest then return {'mismatch'} end
  skipped = alg ~= 0 and held.alg ~= 0 and held.alg ~= alg and 1 or 0
  if held.state == 1 then return {'done', skipped, held.payload, held.attempt, held.nonce, held.meta} end
  if held.state == 2 then return {'tombstone', skipped, held.attempt, held.nonce} end
  if held.state == 3 then return {'unknown', skipped} end
  if held.nonce == nonce then
    held.lease_end = now + lease_ms
    put_renewed(KEYS[1], held, lease_ms)
    return {'yours', skipped, held.fence, held.attempt, held.payload}
  end
  if held.lease_end > now then return {'busy', skipped, held.lease_end - now} end
  if ARGV[6] ~= '1' then return {'lapsed', skipped, held.attempt} end
  r.fence, r.attempt, r.payload = held.fence + 1, held.attempt + 1, held.payload
end
redis.call('SET', KEYS[1], pack_record(r), 'PX', math.max(retain_ms, lease_ms))
return {'yours', skipped, r.fence, r.attempt, r.payload}
`)
