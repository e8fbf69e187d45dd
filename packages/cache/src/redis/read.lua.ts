import { defineScript, type Script } from '@keelson/kernel/redis'
import { entryLua } from './entry.lua.ts'
import { lockLua } from './lock.lua.ts'
import { stateLua } from './state.lua.ts'

/** The numbers of an answer: what became of the lock of a miss. */
export const LOCKS = ['none', 'yours', 'held'] as const
/** Added to the number of a miss whose entry was expired softly. */
export const SOFTLY = 4

/** Validity and value, else the right to fill, of each ref. A lock is taken over once a tag that its owner's load was
 *  declared with has moved. Repeatable: a call finds its own lock again. 1 round trip, O(tags).
 *  KEYS state; entry, and with locks the lock, of each ref. ARGV an id for a new epoch and for this call (12 bytes),
 *  node, lock ms (0: none), '1' for the body, '1' to refresh; of each ref its scope, and with locks the number of
 *  declared tags and these. Returns the lease; of each ref 0 (hit) or 1 + the number in LOCKS (+ SOFTLY), and the entry,
 *  its head alone without the body, or nil. */
export const readScript: Script = defineScript(`${stateLua}${entryLua}${lockLua}
local call, node, lock_ms, with_body, refresh = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5] == '1'
local locks = lock_ms ~= '0'
local state, now = get_state(KEYS[1], call)
local stamp = state.id .. ':' .. text(state.clock)

-- Where the number of declared tags stands, and behind it these: a hit does not look at them.
local function is_alive(held, scope, at)
  local epoch, since = string.match(held, '^([^:|]+):(%d+)|', OWNER)
  since = tonumber(since or '')
  if not since or epoch ~= state.id or since < state.floor then return false end
  local declared = {}
  for n = 1, ARGV[at] do declared[n] = ARGV[at + n] end
  for _, value in ipairs(stamps_of_tags(KEYS[1], scope, declared)) do
    if value and math.max(stamps_of(value)) > since then return false end
  end
  return true
end
local function take_lock(key, index, scope, declared)
  local held = get_lock(key)
  local taken_by = call .. struct.pack('>H', index)
  if held and string.sub(held, 2, OWNER - 1) ~= taken_by and is_alive(held, scope, declared) then
    redis.call('SETRANGE', key, 0, '1')
    return 3
  end
  local waited_for = held and string.sub(held, 1, 1) == '1' and '1' or '0'
  redis.call('SET', key, waited_for .. taken_by .. stamp .. '|' .. node, 'PX', lock_ms)
  return 2
end

local reply, at = {stamp .. ':' .. text(now)}, 6
for i = 0, (#KEYS - 1) / (locks and 2 or 1) - 1 do
  local key = KEYS[2 + i * (locks and 2 or 1)]
  local scope, declared = ARGV[at], at + 1
  at = declared + (locks and 1 + ARGV[declared] or 0)
  local e = get_entry(key, with_body)
  local ends = e and turns_stale(KEYS[1], state, scope, e, now)
  local entry = ends and now < ends + e.grace * 1000 and e.raw
  local kind = 0
  if not entry or refresh or now >= ends then
    kind = locks and take_lock(KEYS[3 + 2 * i], i, scope, declared) or 1
    if entry and ends < e.ends then kind = kind + ${SOFTLY} end
  end
  reply[#reply + 1] = kind
  reply[#reply + 1] = entry or false
end
return reply
`)
