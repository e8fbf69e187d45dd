import type { Script } from '@keelson/kernel/redis'
import { rowScript } from './record.lua.ts'
import { deliveryLua, stateLua } from './state.lua.ts'

/** ARGV scope, id. Returns the delivery, nil for none. */
export const getDeliveryScript: Script = rowScript(`${stateLua}${deliveryLua}
local d = delivery_of(pair(ARGV[1], ARGV[2]))
return d and delivery_reply(d)
`)

/** Whether a delivery is asked for. ARGV from 5 on: scope, endpoint, event, type, status, from ms, to ms ('' for any). */
const matchLua = `
local scope, endpoint, event, type_, status = ARGV[5], some(ARGV[6]), some(ARGV[7]), some(ARGV[8]), some(ARGV[9])
local from, to = tonumber(ARGV[10]) or -math.huge, tonumber(ARGV[11]) or math.huge
local function matches(d)
  return (endpoint or d.endpoint) == d.endpoint and (event or d.event) == d.event and (type_ or d.type) == d.type
    and (status or d.status) == d.status and d.at >= from and d.at < to
end
`

/** A part of an index, newest id first; it reads at most `most` rows. ARGV after, most, wanted, index, and the query.
 *  Returns where to go on ('' at the end), then the deliveries that match. */
export const listDeliveriesScript: Script = rowScript(`${stateLua}${deliveryLua}${matchLua}
local most, wanted = tonumber(ARGV[2]), tonumber(ARGV[3])
local from_id = ARGV[1] == '' and '+' or '(' .. ARGV[1]
local ids = call('ZREVRANGEBYLEX', P .. ARGV[4], from_id, '-', 'LIMIT', 0, most)
local answer = { #ids == most and ids[most] or '' }
for _, id in ipairs(ids) do
  local d = delivery_of(pair(scope, id))
  if matches(d) then
    answer[#answer + 1] = delivery_reply(d)
    if #answer > wanted then break end
  end
end
return answer
`)

/** The same of one event: all that it has. */
export const listOfEventScript: Script = rowScript(`${stateLua}${deliveryLua}${matchLua}
local answer, found, by_id = { '' }, {}, {}
for _, d in ipairs(deliveries_of(pair(scope, event), scope)) do
  if matches(d) and (ARGV[1] == '' or d.id < ARGV[1]) then
    found[#found + 1], by_id[d.id] = d.id, d
  end
end
table.sort(found, function(a, b) return a > b end)
for i = 1, math.min(#found, tonumber(ARGV[3])) do answer[i + 1] = delivery_reply(by_id[found[i]]) end
return answer
`)

/** ARGV scope, id, after, limit. Returns nil for no such delivery, or of each attempt fence, number, at, outcome, base,
 *  private, by fence. */
export const attemptsScript: Script = rowScript(`${stateLua}${deliveryLua}
local d, answer = delivery_of(pair(ARGV[1], ARGV[2])), {}
if not d then return nil end
for _, fence in ipairs(attempts_of(d)) do
  if #answer >= tonumber(ARGV[4]) then break end
  if fence > tonumber(ARGV[3]) then
    local row = attempt_of(d, fence)
    answer[#answer + 1] = { fence, row.number, text(row.at), row.outcome, row.base, row.private }
  end
end
return answer
`)

/** ARGV scope, id. Returns the delivery, nil when it cannot go again. */
export const retryScript: Script = rowScript(`${stateLua}${deliveryLua}
local d = delivery_of(pair(ARGV[1], ARGV[2]))
local l = d and lane_of(d.n)
if not l or l.removed or is_erased(d.scope, d.event) then return nil end
if d.status ~= 'delivering' then
  reopen(d, l, false)
  wake()
end
flush()
return delivery_reply(d)
`)

/** ARGV limit, scope, id, endpoint ('' for any). Returns how many were cancelled. 1 round trip, O(limit and lanes). */
export const cancelScript: Script = rowScript(`${stateLua}${deliveryLua}
local left, scope, id, endpoint = tonumber(ARGV[1]), ARGV[2], some(ARGV[3]), some(ARGV[4])
local cancelled = 0
local function cancel(d)
  if not d or not is_open(d) or (endpoint or d.endpoint) ~= d.endpoint then return end
  finish(d, lane_of(d.n), 'cancelled', false)
  cancelled = cancelled + 1
end
if id then
  cancel(delivery_of(pair(scope, id)))
else
  local key = P .. ':ep:' .. scope
  for _, n in ipairs(endpoint and { call('HGET', key, endpoint) or nil } or call('HVALS', key)) do
    if cancelled >= left then break end
    for _, each in ipairs(call('ZRANGE', P .. ':o:' .. n, 0, left - cancelled - 1)) do
      cancel(delivery_of(pair(scope, each)))
    end
  end
end
flush()
return cancelled
`)
