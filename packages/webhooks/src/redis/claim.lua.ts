import type { Script } from '@keelson/kernel/redis'
import { rowScript } from './record.lua.ts'
import { deliveryLua, stateLua } from './state.lua.ts'

/** Invariant: of a lane in flight <= what it may have, each delivery under one lease, its fence higher than any before.
 *  1 round trip, O(limit and classes).
 *  ARGV limit, then the classes of lanes. Returns now, then of each claim in turn: what `claimOf` reads, the event's row
 *  and its bytes. */
export const claimScript: Script = rowScript(`${stateLua}${deliveryLua}
if call('EXISTS', P .. ':all-paused') == 1 then return { text(now) } end
local limit, found = tonumber(ARGV[1]), {}
for i = 2, #ARGV do
  local top = call('ZRANGEBYSCORE', P .. ':ready:' .. ARGV[i], '-inf', exact, 'WITHSCORES', 'LIMIT', 0, limit)
  for j = 1, #top, 2 do found[#found + 1] = { top[j], tonumber(top[j + 1]) } end
end
if #ARGV > 2 then table.sort(found, function(a, b) return a[2] < b[2] end) end
local candidates = {}
for i = 1, min(limit, #found) do candidates[i] = found[i][1] end
read_lanes(candidates)

-- Takes the first one of each from its queue.
local taken, names = {}, {}
for _, n in ipairs(candidates) do
  local l = lane_of(n)
  local at, again
  if l then
    at, again = next_of(l)
    change(l)
  else
    for i = 2, #ARGV do index(':ready:' .. ARGV[i], n, false) end
  end
  if at and at <= exact then
    local member = call('ZPOPMIN', queue_key(l, again))[1]
    grow(l, again, member and -1 or again and -l.again or -l.live)
    look_for_first(l, again)
    if member then taken[#taken + 1], names[#names + 1] = l, pair(l.scope, string.sub(member, 14)) end
  end
end
read_deliveries(names)

local answer, events = { text(now) }, {}
for i, l in ipairs(taken) do
  local d = delivery_of(names[i])
  if d then
    local suspect = l.suspect and 1 or 0
    after_claim(l, d.redriven, now)
    l.served = now
    d.status, d.fence, d.ends = 'delivering', d.fence + 1, now + l.lease
    put_delivery(d)
    index(':leases', d.name, d.ends)
    local event = pair(l.scope, d.event)
    events[#events + 1], events[#events + 2] = P .. ':e:' .. event, P .. ':b:' .. event
    answer[#answer + 1] = struct.pack('>I6dI4I4BI6I6', d.fence, l.lease, d.attempts, d.spent, suspect, tonumber(l.n),
      l.revision) .. d.id .. '\\0' .. l.id
    answer[#answer + 1], answer[#answer + 2] = false, false
  else
    lose(l, names[i])
  end
end
local rows = read_all(events)
for i = 1, #rows / 2 do answer[3 * i], answer[3 * i + 1] = rows[2 * i - 1], rows[2 * i] or '' end
flush()
return answer
`)

/** What claims sign and send with. ARGV lanes. Returns of each revision, config and secrets; an empty revision: it is
 *  gone. */
export const configsScript: Script = rowScript(`${stateLua}
local answer = {}
read_lanes(ARGV)
for i, n in ipairs(ARGV) do
  local l, row = lane_of(n), call('HMGET', P .. ':l:' .. n, 'config', 'secrets')
  answer[i] = { l and row[1] and text(l.revision) or '', row[1] or '', row[2] or '' }
end
return answer
`)
