/** The rules of lane.ts, one by one, in their order and under their names. A lane is a table that they change; its
 *  rules are fields of it, -1 for none; false is null. `after_signal` returns the notice, or ''. */
export const laneLua = `
local floor, max, min = math.floor, math.max, math.min
local function heal(l)
  l.limit, l.suspect, l.blocked_until, l.blocked_by, l.failures = 1, false, false, false, 0
  l.open_until, l.cooldown, l.failing_since, l.noticed = false, 0, false, 0
end
local function capacity(l) return l.open_until and 1 or min(l.limit, l.concurrency) end
local function redriven_capacity(l) return max(1, floor(capacity(l) / 4)) end
local function opens_ms(l)
  local rate = l.rate_limit < 0 and 0 or l.rate_used - (l.rate_per * (l.rate_limit - 1)) / l.rate_limit
  return max(l.blocked_until or 0, l.open_until or 0, rate)
end
local function after_claim(l, redriven, now)
  l.in_flight = l.in_flight + 1
  if redriven then l.redriven = l.redriven + 1 end
  l.rate_used = l.rate_limit < 0 and 0 or max(now, l.rate_used) + l.rate_per / l.rate_limit
end
local function after_end(l, redriven)
  l.in_flight = l.in_flight - 1
  if redriven then l.redriven = l.redriven - 1 end
end
local function after_slow(l) l.suspect, l.limit = true, 1 end
local function block(l, until_ms, by)
  if l.blocked_until and l.blocked_until >= until_ms then return end
  l.blocked_until, l.blocked_by = until_ms, by
end
local function trip(l, now)
  l.failures = l.failures + 1
  if l.breaker_failures < 0 or l.failures < l.breaker_failures then return end
  if l.open_until and now < l.open_until then return end
  l.cooldown = l.open_until and min(l.cooldown * 2, l.breaker_max) or l.breaker_cooldown
  l.open_until = now + l.cooldown
end
local function failing(l, now)
  l.failing_since = l.failing_since or now
  if l.disable_after < 0 then return '' end
  local percent = ((now - l.failing_since) / l.disable_after) * 100
  if percent >= 100 then return 'disabled:failing' end
  for _, notice in ipairs({ 90, 70, 50 }) do
    if percent >= notice then
      if notice <= l.noticed then return '' end
      l.noticed = notice
      return 'failing:' .. notice
    end
  end
  return ''
end
local function after_signal(l, signal, fast, block_ms, now)
  if signal == 'none' then return '' end
  if signal == 'no-key' then
    block(l, now + block_ms, 'key')
    return ''
  end
  if signal == 'success' then
    local limit = fast and min(l.limit + 1, l.concurrency) or l.limit
    local suspect = l.suspect and not fast
    local recovered = l.open_until or l.noticed > 0
    heal(l)
    l.limit, l.suspect = limit, suspect
    return recovered and 'recovered' or ''
  end
  local notice = failing(l, now)
  if signal == 'gone' then return 'disabled:gone' end
  if signal == 'slow-down' then
    l.limit = max(1, floor(l.limit / 2))
    block(l, now + block_ms, 'receiver')
    return notice
  end
  trip(l, now)
  if signal == 'timeout' then after_slow(l) end
  return notice
end
`
