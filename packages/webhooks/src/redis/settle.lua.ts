import type { Script } from '@keelson/kernel/redis'
import { rowScript } from './record.lua.ts'
import { deliveryLua, stateLua } from './state.lua.ts'

/** Leases that may end by themselves before a delivery is given up as poison. */
const MAX_CRASHES = 5

const leasedLua = `
local function leased(scope, id, fence)
  local d = delivery_of(pair(scope, id))
  local l = d and d.status == 'delivering' and d.fence == fence and lane_of(d.n)
  if l and not l.removed then return d, l end
  return d, nil
end
`

/** Invariant: one claim ends once; a fence that is not the last one changes no state. 1 round trip, O(settlements).
 *  ARGV count, then of each 13: scope, delivery, fence, end ('succeeded', 'retry', 'release', or why it is dead), after
 *  ms, signal, fast, block ms, rules ('' as they are), outcome ('' for no attempt), duration ms, base, private.
 *  Returns of each 'stale', or its notice. */
export const settleScript: Script = rowScript(`${stateLua}${deliveryLua}${leasedLua}
local function log_stale(d, fence, at, base, private)
  local held = attempt_of(d, fence)
  if held and held.outcome ~= 'crashed' then return end
  local e = event_of(d.scope, d.event)
  if e and e.erased then private = cjson.encode({ cjson.null, cjson.decode(private)[2] }) end
  log(d, fence, { number = held and held.number or d.attempts + 1, at = at, outcome = 'stale', base = base,
    private = private })
end
local answer, at, names, numbers = {}, 2, {}, {}
for i = 1, tonumber(ARGV[1]) do names[i] = pair(ARGV[2 + 13 * (i - 1)], ARGV[3 + 13 * (i - 1)]) end
read_deliveries(names)
for _, name in ipairs(names) do
  local d = delivery_of(name)
  if d then numbers[#numbers + 1] = d.n end
end
read_lanes(numbers)
for i = 1, tonumber(ARGV[1]) do
  local scope, id, fence, how, after_ms = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3], ARGV[at + 4]
  local signal, fast, block_ms, rules = ARGV[at + 5], ARGV[at + 6] == '1', tonumber(ARGV[at + 7]), ARGV[at + 8]
  local outcome, began, base, private = ARGV[at + 9], now - tonumber(ARGV[at + 10]), ARGV[at + 11], ARGV[at + 12]
  at = at + 13
  local d, l = leased(scope, id, fence)
  if not l then
    answer[i] = 'stale'
    if d and outcome ~= '' then log_stale(d, fence, began, base, private) end
  else
    change(l)
    if outcome ~= '' then
      d.attempts, d.spent, d.crashes = d.attempts + 1, d.spent + 1, 0
      log(d, fence, { number = d.attempts, at = began, outcome = outcome, base = base, private = private })
    end
    if rules ~= '' then set_rules(l, rules) end
    local notice = after_signal(l, signal, fast, block_ms, now)
    local reason = notice ~= '' and string.match(notice, '^disabled:(.*)')
    if reason and l.state == 'disabled' then
      notice = '' -- Disabled already: nobody hears of it twice.
    elseif reason then
      set_state(l, 'disabled')
      call('HSET', P .. ':l:' .. l.n, 'reason', reason)
      l.revision = l.revision + 1
    end
    answer[i] = notice
    if how == 'retry' or how == 'release' then
      unplace(d, l)
      pend(d, l, now + tonumber(after_ms), false)
    elseif how == 'succeeded' then
      finish(d, l, 'succeeded', false)
    else
      finish(d, l, 'dead', how)
    end
  end
end
flush()
return answer
`)

/** Lanes of attempts that take long. ARGV scope, delivery, fence of each. 1 round trip. */
export const slowScript: Script = rowScript(`${stateLua}${deliveryLua}${leasedLua}
for i = 1, #ARGV, 3 do
  local _, l = leased(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]))
  if l then
    change(l)
    after_slow(l)
  end
end
flush()
`)

/** Invariant: a lease that is over gives its slot back once. 1 round trip, O(limit).
 *  ARGV limit. Returns of each scope, endpoint, delivery, event, type, and 1 when it is dead. */
export const reapScript: Script = rowScript(`${stateLua}${deliveryLua}
local answer = {}
for _, name in ipairs(call('ZRANGEBYSCORE', P .. ':leases', '-inf', exact, 'LIMIT', 0, ARGV[1])) do
  local d = delivery_of(name)
  local l = d and lane_of(d.n)
  if not l then
    index(':leases', name, false)
  else
    change(l)
    d.crashes = d.crashes + 1
    log(d, d.fence, { number = d.attempts + 1, at = d.ends - l.lease, outcome = 'crashed', private = '[null,null]',
      base = '{"durationMs":' .. text(l.lease) .. ',"status":null,"remoteAddress":null}' })
    local dead = d.crashes >= ${MAX_CRASHES}
    if l.removed then
      finish(d, l, 'cancelled', false)
    elseif dead then
      finish(d, l, 'dead', 'poison')
    else
      unplace(d, l)
      pend(d, l, d.due, false)
    end
    answer[#answer + 1] = { d.scope, d.endpoint, d.id, d.event, d.type, dead and 1 or 0 }
  end
end
flush()
return answer
`)
