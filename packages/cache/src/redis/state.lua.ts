/*
 * The state of a name is one hash, so it is lost as a whole: `id` (epoch), `c` (clock, us), `f` (floor), `r` (the run id
 * of the server that made it), `p` (the last message published: a stamp; the epoch before the first), and for each tag
 * `t<scope's length>:<scope><tag>` its stamp, or `<stamp>:<soft stamp>`.
 */

/** Reads and writes the state; scripts begin with it. Clocks are below 2^53, which a double holds and `%.0f` prints. */
export const stateLua = `
local function now_us()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
local function text(n) return string.format('%.0f', n) end
-- Another server may lack what this one had acknowledged: a failover, a restart with the tail of its log lost.
local function run_id()
  local info = redis.pcall('INFO', 'server')
  local _, at = string.find(type(info) == 'string' and info or '', 'run_id:', 1, true)
  return at and string.sub(info, at + 1, at + 40) or '?'
end
local function new_state(key, id, clock, said, run)
  local state = {id = id, clock = clock, floor = clock, said = said, run = run}
  redis.call('UNLINK', key)
  redis.call('HSET', key, 'id', id, 'c', text(clock), 'f', text(clock), 'r', run, 'p', said)
  return state
end
-- Without an id for a new one: nil where there is none.
local function get_state(key, id)
  local run, now = run_id(), now_us()
  local s = redis.call('HMGET', key, 'id', 'c', 'f', 'r', 'p')
  local clock, floor = tonumber(s[2] or ''), tonumber(s[3] or '')
  if s[1] and clock and floor and s[4] == run then
    return {id = s[1], clock = clock, floor = floor, said = s[5] or '', run = run}, now
  end
  return id and new_state(key, id, math.max((clock or 0) + 1, now), id, run), now
end
-- What cannot be read is newer than everything.
local function stamps_of(value)
  local hard = tonumber(value)
  if hard then return hard, 0 end
  local soft
  hard, soft = string.match(value, '^(%d+):(%d+)$')
  return tonumber(hard) or math.huge, tonumber(soft) or 0
end
local function stamps_of_tags(key, scope, tags)
  if #tags == 0 then return {} end
  local fields = {}
  for i, tag in ipairs(tags) do fields[i] = 't' .. scope .. tag end
  return redis.call('HMGET', key, unpack(fields))
end
`
