import type { Script } from '@keelson/kernel/redis'
import { rowScript } from './record.lua.ts'
import { deliveryLua, laneReplyLua, stateLua } from './state.lua.ts'

/** The ids of a scope's lanes in order, and its new revision: one that no other audience has had. */
const scopeLua = `
local function lane_ids(scope)
  local ids = call('HKEYS', P .. ':ep:' .. scope)
  table.sort(ids)
  return ids
end
local function endpoints_of(scope)
  local ids = {}
  for _, id in ipairs(lane_ids(scope)) do
    if not is_handler(id) then ids[#ids + 1] = id end
  end
  return ids
end
local function revise(scope) call('HSET', P .. ':revision', scope, number()) end
`

/** ARGV scope, id, max, state, reason, config, secrets, rules. Returns the lane, or nil for the limit. 1 round trip. */
export const insertScript: Script = rowScript(`${stateLua}${laneReplyLua}${scopeLua}
local scope, id, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local key = P .. ':ep:' .. scope
if call('HEXISTS', key, id) == 1 then return nil end
if not is_handler(id) then
  if call('HLEN', key) >= most and #endpoints_of(scope) >= most then return nil end
  revise(scope)
end
local l = create_lane(scope, id, ARGV[4], ARGV[8], ARGV[6], ARGV[7], ARGV[5])
flush()
return lane_reply(l)
`)

/** ARGV scope, revision, heal, id, state, reason, config, secrets, rules. Returns the lane, 0 for another revision, nil
 *  for none. 1 round trip. */
export const putScript: Script = rowScript(`${stateLua}${laneReplyLua}${scopeLua}
local scope, id, config = ARGV[1], ARGV[4], ARGV[7]
local n = call('HGET', P .. ':ep:' .. scope, id)
if not n then return nil end
local l, key = lane_of(n), P .. ':l:' .. n
if text(l.revision) ~= ARGV[2] then return 0 end
if call('HGET', key, 'config') ~= config then revise(scope) end
change(l)
call('HSET', key, 'config', config, 'secrets', ARGV[8], 'reason', ARGV[6], 'updated', now)
l.revision = l.revision + 1
set_rules(l, ARGV[9])
set_state(l, ARGV[5])
if ARGV[3] == '1' then heal(l) end
flush()
wake()
return lane_reply(l)
`)

/** Invariant: a removed lane is never claimed again. ARGV scope, id. Returns its number, nil for none. 1 round trip. */
export const removeScript: Script = rowScript(`${stateLua}${scopeLua}
local scope, id = ARGV[1], ARGV[2]
local n = call('HGET', P .. ':ep:' .. scope, id)
if not n then return nil end
local l = lane_of(n)
change(l)
l.removed = true
call('HDEL', P .. ':ep:' .. scope, id)
if #endpoints_of(scope) > 0 then revise(scope) else call('HDEL', P .. ':revision', scope) end
if l.open > 0 then call('SADD', P .. ':gone', n) end
flush()
return n
`)

/** Cancels what is open on removed lanes. ARGV limit, and a lane, or '' for any. Returns how many. 1 round trip. */
export const clearScript: Script = rowScript(`${stateLua}${deliveryLua}
local n = ARGV[2] ~= '' and ARGV[2] or call('SRANDMEMBER', P .. ':gone')
local l = n and lane_of(n)
if not l then return 0 end
local ids = call('ZRANGE', P .. ':o:' .. n, 0, ARGV[1] - 1)
for _, id in ipairs(ids) do finish(delivery_of(pair(l.scope, id)), l, 'cancelled', false) end
flush()
return #ids
`)

/** ARGV scope, id. Returns the lane, nil for none. */
export const getScript: Script = rowScript(`${stateLua}${laneReplyLua}
local n = call('HGET', P .. ':ep:' .. ARGV[1], ARGV[2])
return n and lane_reply(lane_of(n))
`)

/** ARGV scope, after, limit. Returns lanes by id. */
export const listScript: Script = rowScript(`${stateLua}${laneReplyLua}${scopeLua}
local answer = {}
for _, id in ipairs(endpoints_of(ARGV[1])) do
  if #answer >= tonumber(ARGV[3]) then break end
  if id > ARGV[2] then answer[#answer + 1] = lane_reply(lane_named(ARGV[1], id)) end
end
return answer
`)

/** ARGV scope. Returns revision, endpoints' ids and configs in turn, handlers' names and who they listen to in turn. */
export const audienceScript: Script = rowScript(`${stateLua}${deliveryLua}${scopeLua}
local scope, endpoints, handlers = ARGV[1], {}, {}
for _, id in ipairs(endpoints_of(scope)) do
  endpoints[#endpoints + 1] = id
  endpoints[#endpoints + 1] = call('HGET', P .. ':l:' .. call('HGET', P .. ':ep:' .. scope, id), 'config')
end
local rows = call('HGETALL', P .. ':handlers')
for i = 1, #rows, 2 do
  handlers[i], handlers[i + 1] = rows[i], unpack_handler(rows[i + 1]).signature
end
return { revision_of(scope), endpoints, handlers }
`)

/** ARGV name, signature, rules of each handler: a new signature is a new audience. */
export const handlersScript: Script = rowScript(`${stateLua}
for i = 1, #ARGV, 3 do
  local known = call('HGET', P .. ':handlers', ARGV[i])
  if not known or unpack_handler(known).signature ~= ARGV[i + 1] then call('INCR', P .. ':handlers-revision') end
  call('HSET', P .. ':handlers', ARGV[i], pack_handler({ signature = ARGV[i + 1], rules = ARGV[i + 2] }))
end
`)

/** Stops or starts the lanes of a scope, 500 a step. ARGV scope, 1 for paused, after. Returns where to go on, or ''. */
export const pauseScript: Script = rowScript(`${stateLua}${scopeLua}
local scope, paused, done, last = ARGV[1], ARGV[2] == '1', 0, ''
call(paused and 'SADD' or 'SREM', P .. ':paused', scope)
for _, id in ipairs(lane_ids(scope)) do
  if id > ARGV[3] then
    if done == 500 then
      flush()
      return last
    end
    local l = lane_named(scope, id)
    change(l)
    l.scope_paused = paused
    set_state(l, l.state)
    done, last = done + 1, id
  end
end
flush()
if not paused then wake() end
return ''
`)

/** Stops or starts all lanes of a shard. ARGV 1 for paused. */
export const pauseAllScript: Script = rowScript(`${stateLua}
if ARGV[1] == '1' then return call('SET', P .. ':all-paused', 1) end
call('DEL', P .. ':all-paused')
wake()
`)
