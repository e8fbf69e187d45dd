/*
 * Counters, one key a quota: `log` a ZSET of `<instant>:<n>` by instant, `buckets` a HASH of units by the bucket's
 * number, `gcra` a string `<tat>:<number>`, `fixed` and `calendar` a string `<begin>:<units>`. Times in us. What each
 * number means stands in limiter/algorithms, whose functions these repeat under the same names.
 */

/** What both scripts begin with. Time is the server's alone; a number becomes text without an exponent. */
export const quotaLua = `
local call, format = redis.call, string.format
local time = call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local function text(n) return format('%.0f', n) end
local function pair(key)
  local held = call('GET', key)
  if not held then return nil, nil end
  local a, b = string.match(held, '^(%d+):(%d+)$')
  return tonumber(a), tonumber(b)
end
`
