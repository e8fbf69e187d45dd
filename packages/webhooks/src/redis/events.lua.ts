import type { Script } from '@keelson/kernel/redis'
import { rowScript } from './record.lua.ts'
import { deliveryLua, stateLua } from './state.lua.ts'

/** ARGV scope, id. Returns the event, nil for none. */
export const getEventScript: Script = rowScript(`${stateLua}${deliveryLua}
return event_reply(ARGV[1], ARGV[2])
`)

/** The ids of a subject behind one of them. */
const subjectLua = `
local function of_subject(scope, subject, after, limit)
  local key = P .. ':s:' .. pair(scope, subject)
  local from = after ~= '' and call('ZSCORE', key, after)
  return call('ZRANGEBYSCORE', key, from and '(' .. from or '-inf', '+inf', 'LIMIT', 0, limit)
end
`

/** ARGV scope, subject, after, limit. Returns events. */
export const bySubjectScript: Script = rowScript(`${stateLua}${deliveryLua}${subjectLua}
local answer = {}
for i, id in ipairs(of_subject(ARGV[1], ARGV[2], ARGV[3], ARGV[4])) do answer[i] = event_reply(ARGV[1], id) end
return answer
`)

/** Erases events of a subject; reads at most 100. ARGV scope, subject, after, limit.
 *  Returns how many events and deliveries, and where to go on, or ''. 1 round trip. */
export const eraseScript: Script = rowScript(`${stateLua}${deliveryLua}${subjectLua}
local scope, erased, cancelled, last = ARGV[1], 0, 0, ''
local ids = of_subject(scope, ARGV[2], ARGV[3], 100)
for _, id in ipairs(ids) do
  if erased >= tonumber(ARGV[4]) then break end
  last = id
  local e = event_of(scope, id)
  if not e.erased then
    erased, e.erased = erased + 1, true
    put_event(e)
    call('DEL', P .. ':b:' .. pair(scope, id))
    for _, d in ipairs(deliveries_of(pair(scope, id), scope)) do
      for _, fence in ipairs(attempts_of(d)) do
        local row = attempt_of(d, fence)
        row.private = '[null,null]'
        put_attempt(d, fence, row)
      end
      if is_open(d) then
        finish(d, lane_of(d.n), 'cancelled', 'erased')
        cancelled = cancelled + 1
      end
    end
  end
end
flush()
return { erased, cancelled, #ids < 100 and '' or last }
`)

/** ARGV correlation id. Returns of each event at, type, id, and of each attempt at, endpoint, number, outcome, base. */
export const traceScript: Script = rowScript(`${stateLua}${deliveryLua}
local answer = {}
for i, name in ipairs(call('ZRANGE', P .. ':t:' .. ARGV[1], 0, -1)) do
  local e = event_of(parts(name))
  local attempts = {}
  for _, d in ipairs(deliveries_of(name, e.scope)) do
    for _, fence in ipairs(attempts_of(d)) do
      local row = attempt_of(d, fence)
      attempts[#attempts + 1] = { text(row.at), d.endpoint, row.number, row.outcome, row.base }
    end
  end
  answer[i] = { text(e.at), e.type, e.id, attempts }
end
return answer
`)
