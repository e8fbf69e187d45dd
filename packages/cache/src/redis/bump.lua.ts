import { defineScript, type Script } from '@keelson/kernel/redis'
import { entryLua } from './entry.lua.ts'
import { lockLua } from './lock.lua.ts'
import { membersLua } from './members.lua.ts'
import { stateLua } from './state.lua.ts'

/** A state with more fields forgets tags that count still; a bump looks at so many of them. */
const MOST_FIELDS = 1_000_000
const SAMPLE = 8

/** ARGV of both: an id for a new epoch, author, lease ms, the latest time (us) that can be, channel, message, the age
 *  (us) from which a tag's stamp counts no more, '1' for a new epoch, number of tags, and these: 'h' or 's' (softly), the
 *  scope, the tag. The answer: stamp, time (us), ms that an unknown lease may last, and of each other member its name
 *  and the ms its lease lasts. */
const bumpLua = `${stateLua}${membersLua}
local function newest_of(value) return math.max(stamps_of(value)) end
-- A stamp is deleted only with the floor at it: what it made invalid stays invalid, whatever time it is.
local function prune(state, now, count)
  local is_full = redis.call('HLEN', KEYS[1]) > ${MOST_FIELDS}
  local sample = redis.call('HRANDFIELD', KEYS[1], ${SAMPLE} + (is_full and 2 * count or 0), 'WITHVALUES')
  local found = {}
  for i = 1, #sample, 2 do
    -- What cannot be read is above the clock: it stays, or the floor would be there too.
    local stamp = string.sub(sample[i], 1, 1) == 't' and newest_of(sample[i + 1])
    if stamp and stamp < state.clock then found[#found + 1] = {field = sample[i], stamp = stamp} end
  end
  table.sort(found, function(a, b) return a.stamp < b.stamp end)
  for i, each in ipairs(found) do
    local is_over = each.stamp < now - ARGV[7]
    if not is_over and not (is_full and i <= #found / 2 + 1) then break end
    redis.call('HDEL', KEYS[1], each.field)
    state.floor = math.max(state.floor, each.stamp)
  end
end
local function set_stamps(state)
  local clock = text(state.clock)
  for i = 10, 9 + ARGV[9] do
    local field, value = 't' .. string.sub(ARGV[i], 2), clock
    if string.sub(ARGV[i], 1, 1) == 's' then
      local before = redis.call('HGET', KEYS[1], field)
      value = text(before and stamps_of(before) or 0) .. ':' .. clock
    end
    redis.call('HSET', KEYS[1], field, value)
  end
end
local function bump()
  local state, now = get_state(KEYS[1], ARGV[1])
  state.clock = math.max(state.clock + 1, now)
  if ARGV[8] == '1' then
    local known = redis.call('ZSCORE', KEYS[2], '#' .. state.id)
    state = new_state(KEYS[1], ARGV[1], state.clock, state.said, state.run)
    if known then redis.call('ZADD', KEYS[2], known, '#' .. state.id) end
  else
    prune(state, now, tonumber(ARGV[9]))
    redis.call('HSET', KEYS[1], 'c', text(state.clock), 'f', text(state.floor))
    set_stamps(state)
  end
  local stamp = state.id .. ':' .. text(state.clock)
  local now_ms, lease_ms = math.floor(now / 1000), tonumber(ARGV[3])
  local unknown_ms = note_unknown(KEYS[2], state, now_ms, lease_ms, has_jumped(now, ARGV[4]))
  local reply = {stamp, text(now), unknown_ms}
  local others = unknown_ms > 0
  local members = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
  for i = 1, #members, 2 do
    local member, left_ms = members[i], members[i + 1] - now_ms
    if string.sub(member, 1, 1) == '=' and string.sub(member, NODE) ~= ARGV[2] then
      others = true
      if left_ms > 0 then
        reply[#reply + 1] = string.sub(member, NODE)
        reply[#reply + 1] = left_ms
      end
    end
  end
  if others then
    redis.call('PUBLISH', ARGV[5], 'b' .. state.said .. ' ' .. stamp .. ' ' .. ARGV[6])
    redis.call('HSET', KEYS[1], 'p', stamp)
  end
  return reply, state, now
end
`

/** Invalidates tags, with one stamp, and tells the members when there may be any. 1 round trip, O(tags + members).
 *  KEYS state, members. */
export const bumpScript: Script = defineScript(`${bumpLua}
return (bump())
`)

/** Invalidates a key and stores an entry with that stamp; a load that runs is in vain, so its lock ends. 1 round trip.
 *  KEYS state, members, entry, lock. ARGV as above with one tag, then ttl (ms), grace (ms), load (ms), rest of the head,
 *  body, message for who waits. */
export const putScript: Script = defineScript(`${bumpLua}${entryLua}${lockLua}
local reply, state, now = bump()
put_entry(KEYS[3], state.id, state.clock, now, tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13]), ARGV[14], ARGV[15])
local held = get_lock(KEYS[4])
redis.call('DEL', KEYS[4])
wake(held, ARGV[5], ARGV[16])
return reply
`)
