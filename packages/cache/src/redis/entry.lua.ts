/*
 * An entry is one string, integers big-endian: version u8 (1), bytes of this head u32, bytes of the body u32, stamp u64,
 * stored at u64 (us), turns stale at u64 (us), grace u64 (ms), load u32 (ms), epoch (u8 length); then what the node
 * wrote, see entry.ts: fill (u8), codec (u8), number of tags u8, tags (u16 each); then the body.
 */

/** Reads and writes entries; needs stateLua. What is no entry of version 1, to the byte, is none. */
export const entryLua = `
local HEAD = '>BI4I4I8I8I8I8I4B'
local FIRST = 512
local function tags_of(raw, at)
  local _, count
  _, _, count, at = struct.unpack('>Bc0Bc0B', raw, at)
  -- All in one call: each costs more than a tag. Behind them it answers where the next thing begins.
  local tags = {struct.unpack('>' .. string.rep('Hc0', count), raw, at)}
  return tags, table.remove(tags)
end
local function parse_entry(key, raw, whole)
  local e, head, at, version = {}
  version, head, e.body_bytes, e.stamp, e.stored, e.ends, e.grace, e.load, e.epoch, at = struct.unpack(HEAD .. 'c0', raw)
  local total = (whole or #raw < FIRST) and #raw or redis.call('STRLEN', key)
  if total ~= head + e.body_bytes then return nil end
  if #raw < head then raw = redis.call('GETRANGE', key, 0, head - 1) end
  e.tags, at = tags_of(raw, at)
  if at ~= head + 1 then return nil end
  e.raw = whole and raw or string.sub(raw, 1, head)
  return e
end
-- With its body in e.raw if told, else with its head.
local function get_entry(key, whole)
  local raw
  if whole then raw = redis.pcall('GET', key) else raw = redis.pcall('GETRANGE', key, 0, FIRST - 1) end
  if type(raw) ~= 'string' or string.byte(raw) ~= 1 then return nil end
  local ok, e = pcall(parse_entry, key, raw, whole)
  return ok and e or nil
end
local function put_entry(key, epoch, stamp, now, ttl_ms, grace_ms, load_ms, rest, body)
  local head = struct.pack(HEAD, 1, struct.size(HEAD) + #epoch + #rest, #body, stamp, now, now + ttl_ms * 1000, grace_ms,
    load_ms, #epoch)
  redis.call('SET', key, head .. epoch .. rest .. body, 'PX', text(ttl_ms + grace_ms))
end
-- The rule. When the entry turns stale, in us; nil of one that is invalid.
local function turns_stale(state_key, state, scope, e, now)
  if not state or e.epoch ~= state.id or e.stamp < state.floor then return nil end
  local ends = e.ends
  for _, value in ipairs(stamps_of_tags(state_key, scope, e.tags)) do
    if value then
      local hard, soft = stamps_of(value)
      if hard > e.stamp then return nil end
      if soft > e.stamp then ends = math.min(ends, soft, now) end
    end
  end
  return ends
end
`
