import { clockLua } from './clock.lua.ts'
import { laneLua } from './lane.lua.ts'
import { RULE_FIELDS, HEALTH_FIELDS, recordsLua, rulesLua } from './record.lua.ts'

/*
 * The keys of a shard; all begin with its hash tag, KEYS[1], and `/` stands for a NUL, which no scope has. A lane has a
 * number of its own, so one that comes again under an old id is another. A server that is full may evict any of them:
 * what is lost with a row is left behind, and all others go on.
 *
 *   e:scope/event   event, packed              b:scope/event    its bytes
 *   d:scope/id      delivery, packed           a:scope/id       HASH fence -> attempt, packed; see `put_attempt`
 *   h:n             lane, packed               l:n              HASH config, secrets, reason, at, updated
 *   q:n  r:n        live and redriven ones that wait, by due time; members begin with the order of their event
 *   o:n             open deliveries by creation             k:n:key     open ones of a key, LIST in order
 *   ready:class     lanes that may be claimed, by since when: '', 'suspect', 'fn:name'
 *   due             lanes by their first due time, unless held or open        held    held lanes with open deliveries
 *   leases          deliveries by the end of their lease                      gone    removed lanes with open ones
 *   u:scope         unrouted events, LIST      unrouted   all of them by time
 *   waiting         scopes with unrouted ones, by when a router may have them             router:scope   its token
 *   ds:scope  de:scope/endpoint  dx:scope   deliveries by id: all, of an endpoint, dead and cancelled ones
 *   dv:scope/event  ids of an event's deliveries, packed
 *   final  bare     final deliveries by end: with a log that `logs` may not know, and the others
 *   logs            deliveries by the first row of their log, but for those that their first claim made final
 *   over            events without deliveries, by time
 *   s:scope/subject  t:correlation                          events by order
 *   ep:scope        HASH endpoint -> lane      revision   HASH scope -> of its endpoints; without any it has none
 *   handlers  handlers-revision  paused (SET of scopes)  all-paused  redrives  running  counts  n (numbers)  wake
 */

/** What all scripts begin with: time, rows, lanes. KEYS[1] is the shard. A script that changes lanes ends with
 *  `flush()`, which writes each of them once, gives it its places, and counts. */
export const stateLua: string = `
local P, call = KEYS[1], redis.call
${clockLua}${laneLua}${recordsLua}${rulesLua}
-- Numbers as they are written; most come more than once.
local texts = {}
local function text(n)
  if not n then return '' end
  local known = texts[n]
  if not known then
    known = string.format(n % 1 == 0 and n < 2^53 and '%d' or '%.17g', n)
    texts[n] = known
  end
  return known
end
local function some(value) return value ~= '' and value or false end
local function pair(a, b) return a .. '\\0' .. b end
local function parts(member) return string.match(member, '^(%Z*)%z(.*)$') end
local function number() return call('INCR', P .. ':n') end
local function wake()
  if call('LLEN', P .. ':wake') > 0 then return end
  call('RPUSH', P .. ':wake', 1)
  call('PEXPIRE', P .. ':wake', 5000)
end
local counted = {}
local function count(what, by)
  if by ~= 0 then counted[what] = (counted[what] or 0) + by end
end
-- What Lua's stack holds at once.
local MOST = 2000
local function each_part(list, fn)
  for i = 1, #list, MOST do fn(unpack(list, i, min(i + MOST - 1, #list))) end
end
-- The values of these keys, false for none.
local function read_all(keys)
  if #keys <= MOST then return #keys > 0 and call('MGET', unpack(keys)) or {} end
  local values = {}
  each_part(keys, function(...)
    local some_values = call('MGET', ...)
    for i = 1, #some_values do values[#values + 1] = some_values[i] end
  end)
  return values
end
-- The place of a member in an index from now on, false for none: written by flush(), where its last place counts.
local indexes = {}
local function index(key, member, score)
  local places = indexes[key]
  if not places then
    places = {}
    indexes[key] = places
  end
  places[member] = score
end
local function write_indexes()
  for key, places in pairs(indexes) do
    local entered, left = {}, {}
    for member, score in pairs(places) do
      if score then
        entered[#entered + 1] = text(score)
        entered[#entered + 1] = member
      else
        left[#left + 1] = member
      end
    end
    each_part(left, function(...) call('ZREM', P .. key, ...) end)
    each_part(entered, function(...) call('ZADD', P .. key, ...) end)
  end
  indexes = {}
end

local lanes, changed, lane_numbers = {}, {}, {}
local function held(l)
  if l.state == 'disabled' then return 'disabled' end
  return (l.state == 'paused' or l.scope_paused) and 'paused' or false
end
local function is_handler(id) return string.sub(id, 1, 3) == 'fn:' end
-- What a lane counts for: pending ones, those that it holds, its breaker, its state.
local function counts_of(l)
  local pending = l.open - l.in_flight
  if l.removed then return pending, 0, 0, false end
  return pending, held(l) and pending or 0, l.open_until and 1 or 0, not l.handler and l.state
end
local function tally(l)
  local pending, of_held, open, state = counts_of(l)
  count('pending', pending - l.was_pending)
  count('held', of_held - l.was_held)
  count('breakers', open - l.was_open)
  if state == l.was_state then return end
  if l.was_state then count(l.was_state, -1) end
  if state then count(state, 1) end
end
local function read_lane(n, packed)
  local l = packed and unpack_lane(packed)
  lanes[n] = l
  if not l then return end
  l.n, l.handler = n, is_handler(l.id)
  read_illness(l)
end
local function lane_of(n)
  if lanes[n] == nil then read_lane(n, call('GET', P .. ':h:' .. n)) end
  return lanes[n]
end
-- Reads those that will be asked for.
local function read_lanes(numbers)
  local keys, new = {}, {}
  for _, n in ipairs(numbers) do
    if lanes[n] == nil then
      lanes[n] = false
      new[#new + 1], keys[#keys + 1] = n, P .. ':h:' .. n
    end
  end
  local packed = read_all(keys)
  for i, n in ipairs(new) do read_lane(n, packed[i]) end
end
-- Before the first change of a lane in a script.
local function change(l)
  if l.changes then return end
  l.changes = true
  changed[#changed + 1] = l
  l.was_pending, l.was_held, l.was_open, l.was_state = counts_of(l)
end
local function create_lane(scope, id, state, rules, config, secrets, reason)
  local n = text(number())
  local l = new_lane()
  l.n, l.scope, l.id, l.handler, l.state, l.revision = n, scope, id, is_handler(id), state, 1
  l.in_flight, l.redriven, l.open, l.live, l.again, l.served, l.rate_used = 0, 0, 0, 0, 0, 0, 0
  l.scope_paused = call('SISMEMBER', P .. ':paused', scope) == 1
  heal(l)
  set_rules(l, rules)
  l.held_since = held(l) and now
  call('HSET', P .. ':ep:' .. scope, id, n)
  call('HSET', P .. ':l:' .. n, 'config', config, 'secrets', secrets, 'reason', reason, 'at', now, 'updated', now)
  lanes[n], lane_numbers[pair(scope, id)] = l, n
  -- A change from nothing.
  l.changes, l.was_pending, l.was_held, l.was_open = true, 0, 0, 0
  changed[#changed + 1] = l
  return l
end
local function lane_named(scope, id)
  local name = pair(scope, id)
  local n = lane_numbers[name]
  if n == nil then
    n = call('HGET', P .. ':ep:' .. scope, id)
    lane_numbers[name] = n
  end
  if n then return lane_of(n) end
  local handler = is_handler(id) and call('HGET', P .. ':handlers', string.sub(id, 4))
  return handler and create_lane(scope, id, 'active', unpack_handler(handler).rules, '', '[]', '')
end
local function set_state(l, state)
  l.state = state
  if not held(l) then l.held_since = false else l.held_since = l.held_since or now end
end
-- Its queue of live ones, or of those that go again.
local function queue_key(l, again) return P .. (again and ':r:' or ':q:') .. l.n end
local function grow(l, again, by)
  if again then l.again = l.again + by else l.live = l.live + by end
end
local function first_due(l, again)
  if again then return l.again_due end
  return l.live_due
end
local function set_first_due(l, again, due)
  if again then l.again_due = due else l.live_due = due end
end
-- Of a queue whose first one may have gone.
local function look_for_first(l, again)
  local top = (again and l.again or l.live) > 0 and call('ZRANGE', queue_key(l, again), 0, 0, 'WITHSCORES')
  set_first_due(l, again, top and tonumber(top[2]))
end
-- From when on a lane may be claimed, and whether one that goes again. With the time of its first one, whatever holds it.
local function next_of(l)
  local live, again = l.live_due, l.again_due
  local due = min(live or math.huge, again or math.huge)
  if l.removed or held(l) or l.in_flight >= capacity(l) then return false, false, due end
  if l.redriven >= redriven_capacity(l) then again = false end
  local opens = opens_ms(l)
  local live_at = live and max(opens, live)
  local again_at = again and max(opens, again)
  -- Behind the live ones, but not behind those that wait for another try.
  if live and (not again or live_at <= max(again_at, now)) then return live_at, false, due end
  return again_at, true, due
end
-- One place of a lane in an index: nothing is written when it has it already.
local function place(key, l, before, score)
  if before ~= score then index(key, l.n, score) end
  return score
end
-- Lanes of endpoints that are well, suspects, and those of a handler.
local ANY, SUSPECT, HANDLER = 1, 2, 3
local function ready_key(l, class)
  return class == ANY and ':ready:' or class == SUSPECT and ':ready:suspect' or ':ready:' .. l.id
end
local function schedule(l)
  local at, _, due = next_of(l)
  local class = at and (l.handler and HANDLER or l.suspect and SUSPECT or ANY) or false
  if l.class and l.class ~= class then index(ready_key(l, l.class), l.n, false) end
  -- Of those that have waited, the one that was served last comes last.
  local ready = class and max(at, l.served, 0)
  if class and (l.class ~= class or l.ready ~= ready) then index(ready_key(l, class), l.n, ready) end
  l.class, l.ready = class, ready
  l.due = place(':due', l, l.due, not l.removed and not held(l) and not l.open_until and due < math.huge and due)
  local since = not l.removed and held(l) and l.open > 0 and l.held_since
  if since then since = max(since, tonumber(call('ZRANGE', P .. ':o:' .. l.n, 0, 0, 'WITHSCORES')[2] or 0)) end
  l.held_at = place(':held', l, l.held_at, since)
end
local deliveries, told = {}, {}
local function flush()
  local rows = {}
  for _, l in ipairs(changed) do
    schedule(l)
    tally(l)
    if l.removed and l.open == 0 then
      call('DEL', P .. ':h:' .. l.n, P .. ':l:' .. l.n)
      call('SREM', P .. ':gone', l.n)
    else
      write_illness(l)
      rows[#rows + 1], rows[#rows + 2] = P .. ':h:' .. l.n, pack_lane(l)
    end
  end
  for _, d in ipairs(told) do
    if deliveries[d.name] then rows[#rows + 1], rows[#rows + 2] = P .. ':d:' .. d.name, pack_delivery(d) end
  end
  each_part(rows, function(...) call('MSET', ...) end)
  write_indexes()
  for what, by in pairs(counted) do
    if by ~= 0 then call('HINCRBY', P .. ':counts', what, by) end
  end
end
`

/** Deliveries and their lanes: each is one table, however often it is asked for, and written by `flush()`. */
export const deliveryLua: string = `
local function event_of(scope, id)
  local packed = call('GET', P .. ':e:' .. pair(scope, id))
  return packed and unpack_event(packed)
end
local function is_erased(scope, id)
  local e = event_of(scope, id)
  return not e or e.erased
end
local function put_event(e) call('SET', P .. ':e:' .. pair(e.scope, e.id), pack_event(e)) end
local function read_delivery(name, packed)
  local d = packed and unpack_delivery(packed)
  deliveries[name] = d
  if not d then return end
  d.name, d.scope, d.id = name, parts(name)
end
local function delivery_of(name)
  if deliveries[name] == nil then read_delivery(name, call('GET', P .. ':d:' .. name)) end
  return deliveries[name]
end
-- Reads those that will be asked for.
local function read_deliveries(names)
  local keys = {}
  for i, name in ipairs(names) do keys[i] = P .. ':d:' .. name end
  local packed = read_all(keys)
  for i, name in ipairs(names) do
    if deliveries[name] == nil then read_delivery(name, packed[i]) end
  end
end
-- An open one whose row is missing.
local function lose(l, name)
  local _, id = parts(name)
  l.open = l.open - call('ZREM', P .. ':o:' .. l.n, id)
end
local function put_delivery(d)
  if d.told then return end
  d.told = true
  told[#told + 1] = d
end
local function is_open(d) return d.status == 'pending' or d.status == 'delivering' end
-- Of a keyed one.
local function line_of(d) return P .. ':k:' .. d.n .. ':' .. d.key end
-- Takes it from where it waits, or its lease.
local function unplace(d, l)
  if d.status == 'delivering' then
    after_end(l, d.redriven)
    index(':leases', d.name, false)
  elseif d.status == 'pending' and not d.waits then
    call('ZREM', queue_key(l, d.redriven), d.place)
    grow(l, d.redriven, -1)
    if first_due(l, d.redriven) == d.due then look_for_first(l, d.redriven) end
  end
end
local function enter(d, l)
  if d.waits then return end
  call('ZADD', queue_key(l, d.redriven), text(d.due), d.place)
  grow(l, d.redriven, 1)
  set_first_due(l, d.redriven, min(first_due(l, d.redriven) or math.huge, d.due))
end
-- Where it waits from now on: behind an open one of its key, else by its time. Not unplaced before, it is new.
local function pend(d, l, due, is_new)
  if is_new then
    l.open = l.open + 1
    call('ZADD', P .. ':o:' .. d.n, text(d.at), d.id)
    if d.keyed then call('RPUSH', line_of(d), d.id) end
  end
  d.status, d.due = 'pending', due
  d.waits = d.keyed and call('LINDEX', line_of(d), 0) ~= d.id
  enter(d, l)
  put_delivery(d)
end
-- One that waited for another of its key.
local function let_go(d, l)
  if d.status ~= 'pending' then return end
  d.waits = false
  enter(d, l)
  put_delivery(d)
end
local function finish(d, l, status, reason)
  change(l)
  unplace(d, l)
  d.status, d.reason, d.finished = status, reason, now
  put_delivery(d)
  l.open = l.open - 1
  call('ZREM', P .. ':o:' .. d.n, d.id)
  local has_log = d.oldest and true
  index(has_log and ':final' or ':bare', d.name, now)
  -- All that it has was written just now.
  if has_log and d.fence == 1 and d.last == 1 then index(':logs', d.name, nil) end
  if status ~= 'succeeded' then index(':dx:' .. d.scope, d.id, 0) end
  if status == 'dead' then count('dead', 1) end
  if not d.keyed then return end
  local line = line_of(d)
  if call('LINDEX', line, 0) ~= d.id then
    call('LREM', line, 1, d.id)
    return
  end
  call('LPOP', line)
  local first = call('LINDEX', line, 0)
  if not first then return end
  local next_one = delivery_of(pair(d.scope, first))
  if next_one then let_go(next_one, l) end
end
local function reopen(d, l, redriven)
  change(l)
  unplace(d, l)
  local is_new = not is_open(d)
  if is_new then
    index(':final', d.name, false)
    index(':bare', d.name, false)
    if d.oldest then index(':logs', d.name, d.oldest) end
    index(':dx:' .. d.scope, d.id, false)
    if d.status == 'dead' then count('dead', -1) end
  end
  d.redriven, d.reason, d.finished, d.spent, d.crashes = redriven, false, false, 0, 0
  pend(d, l, now, is_new)
end
-- The deliveries of an event, once. list: id and endpoint of each, in turn.
local function deliver(e, list)
  local name, ids = pair(e.scope, e.id), {}
  e.routed = true
  for i = 1, e.erased and 0 or #list, 2 do
    local id, endpoint = list[i], list[i + 1]
    local l = lane_named(e.scope, endpoint)
    if l then
      change(l)
      local d = new_delivery()
      d.scope, d.id, d.name, d.event, d.type, d.endpoint = e.scope, id, pair(e.scope, id), e.id, e.type, endpoint
      d.n, d.place, d.key, d.keyed, d.at = l.n, string.format('%013.0f', e.order) .. id, e.key, e.key and true, now
      d.attempts, d.spent, d.crashes, d.fence, d.ends, d.last, d.rest = 0, 0, 0, 0, 0, 0, ''
      deliveries[d.name] = d
      index(':ds:' .. e.scope, id, 0)
      index(':de:' .. pair(e.scope, endpoint), id, 0)
      ids[#ids + 1] = id
      pend(d, l, max(now, e.not_before or 0), true)
    end
  end
  e.kept = #ids
  if e.kept == 0 then call('ZADD', P .. ':over', text(e.at), name)
  else call('SET', P .. ':dv:' .. name, cmsgpack.pack(ids)) end
  put_event(e)
end
-- Of those that are still kept.
local function deliveries_of(event_name, scope)
  local packed, found = call('GET', P .. ':dv:' .. event_name), {}
  for _, id in ipairs(packed and cmsgpack.unpack(packed) or {}) do
    found[#found + 1] = delivery_of(pair(scope, id)) or nil
  end
  return found
end
-- As it is kept, and its bytes, nil for an erased one: the client reads them.
local function event_reply(scope, id)
  local name = pair(scope, id)
  return call('MGET', P .. ':e:' .. name, P .. ':b:' .. name)
end
-- The log of a delivery: its newest thousand claims; fences of a delivery are consecutive. A short row of the last one
-- stands in the delivery's own row, the others in a hash.
local MOST_SHORT = 512
local function put_attempt(d, fence, row)
  local key, packed = P .. ':a:' .. d.name, pack_attempt(row)
  local is_short = fence > 0 and fence >= d.last and #packed <= MOST_SHORT
  if is_short and d.last > 0 and d.last < fence then call('HSET', key, text(d.last), d.rest) end
  if is_short then
    d.last, d.rest = fence, packed
  else
    call('HSET', key, text(fence), packed)
    if d.last == fence then d.last, d.rest = 0, '' end
  end
  put_delivery(d)
end
local function attempt_of(d, fence)
  if d.last > 0 and d.last == fence then return unpack_attempt(d.rest) end
  local packed = call('HGET', P .. ':a:' .. d.name, text(fence))
  return packed and unpack_attempt(packed)
end
local function drop_attempt(d, fence)
  if d.last == fence then d.last, d.rest = 0, ''
  else call('HDEL', P .. ':a:' .. d.name, text(fence)) end
  put_delivery(d)
end
-- Their fences, ascending.
local function attempts_of(d)
  local fences = call('HKEYS', P .. ':a:' .. d.name)
  for i, fence in ipairs(fences) do fences[i] = tonumber(fence) end
  if d.last > 0 then fences[#fences + 1] = d.last end
  table.sort(fences)
  return fences
end
local function log(d, fence, row)
  put_attempt(d, fence, row)
  if fence > 1000 then drop_attempt(d, fence - 1000) end
  if not d.oldest or row.at < d.oldest then
    d.oldest = row.at
    index(':logs', d.name, row.at)
  end
end
local revisions = {}
local function revision_of(scope)
  if not revisions[scope] then
    local handlers = call('GET', P .. ':handlers-revision') or '0'
    revisions[scope] = (call('HGET', P .. ':revision', scope) or '0') .. ':' .. handlers
  end
  return revisions[scope]
end
local function delivery_reply(d)
  local why = false
  if d.status == 'pending' then
    local l = lane_of(d.n)
    if l then
      local no_key = l.blocked_by == 'key' and (l.blocked_until or 0) > now
      why = no_key and 'key' or held(l) or (l.open_until and 'breaker')
    end
  end
  return { d.id, d.scope, d.event, d.type, d.endpoint, d.status, d.reason or '', why or '', text(d.attempts),
    d.status == 'pending' and not d.waits and text(d.due) or '', text(d.at), text(d.finished) }
end
`

/** A lane as `laneOf` of the client reads it. */
export const laneReplyLua: string = `
local function lane_reply(l)
  local row = call('HMGET', P .. ':l:' .. l.n, 'config', 'secrets', 'reason', 'at', 'updated')
  row[#row + 1] = text(l.revision)
  for _, value in ipairs({ ${[...RULE_FIELDS, ...HEALTH_FIELDS].map((field) => `l.${field}`).join(', ')} }) do
    row[#row + 1] = type(value) == 'number' and text(value) or value and tostring(value) or ''
  end
  row[#row + 1], row[#row + 2], row[#row + 3] = l.scope, l.id, l.state
  return row
end
`
