import { defineScript, type Script } from '@keelson/kernel/redis'
import type { QuotaSpec } from '../limiter/store.ts'
import { quotaLua } from './quota.lua.ts'

type AlgorithmName = QuotaSpec['algorithm']

const log = `
local log = {}
function log.load(q)
  q.window, q.newest, q.count = q.a, 0, 0
  local last = call('ZRANGE', q.key, -1, -1, 'WITHSCORES')
  if last[1] then
    q.newest = tonumber(last[2])
    q.count = call('ZCOUNT', q.key, '(' .. text(now - q.window), '+inf')
  end
  q.free = max(0, q.limit - q.count)
  q.full = q.count > 0 and q.newest + q.window - now or 0
end
function log.wait(q, units)
  if units > q.limit then return NEVER end
  local leaving = q.count + units - q.limit
  if leaving <= 0 then return 0 end
  local rank = leaving - 1 - q.count
  return tonumber(call('ZRANGE', q.key, rank, rank, 'WITHSCORES')[2]) + q.window - now
end
function log.take(q, units)
  local at = text(max(now, q.newest + 1))
  local added = {}
  for i = 1, units do
    added[2 * i - 1], added[2 * i] = at, at .. ':' .. i
  end
  if q.newest > 0 then call('ZREMRANGEBYSCORE', q.key, '-inf', text(now - q.window)) end
  call('ZADD', q.key, unpack(added))
  q.full = tonumber(at) + q.window - now
  call('PEXPIRE', q.key, expire_ms(q.full))
  return at
end
`

const buckets = `
local BUCKETS = 60
local buckets = {}
function buckets.load(q)
  q.length = ceil(q.a / BUCKETS)
  q.current, q.count, q.living, q.dead = floor(now / q.length), 0, {}, {}
  local held = call('HGETALL', q.key)
  for i = 1, #held, 2 do q.current = max(q.current, tonumber(held[i])) end
  for i = 1, #held, 2 do
    local bucket = tonumber(held[i])
    if bucket < q.current - BUCKETS then
      q.dead[#q.dead + 1] = held[i]
    else
      q.living[#q.living + 1] = { bucket, tonumber(held[i + 1]) }
      q.count = q.count + tonumber(held[i + 1])
    end
  end
  table.sort(q.living, function(a, b) return a[1] < b[1] end)
  q.free = max(0, q.limit - q.count)
  q.full = #q.living > 0 and buckets.leaves(q, q.living[#q.living][1]) - now or 0
end
function buckets.leaves(q, bucket) return (bucket + BUCKETS + 1) * q.length end
function buckets.wait(q, units)
  if units > q.limit then return NEVER end
  local leaving = q.count + units - q.limit
  if leaving <= 0 then return 0 end
  for _, held in ipairs(q.living) do
    leaving = leaving - held[2]
    if leaving <= 0 then return buckets.leaves(q, held[1]) - now end
  end
end
function buckets.take(q, units)
  if #q.dead > 0 then call('HDEL', q.key, unpack(q.dead)) end
  local bucket = text(q.current)
  call('HINCRBY', q.key, bucket, units)
  q.full = buckets.leaves(q, q.current) - now
  call('PEXPIRE', q.key, expire_ms(q.full))
  return bucket
end
`

const gcra = `
local gcra = {}
function gcra.load(q)
  q.unit = ceil(q.a / q.limit)
  q.capacity = q.b * q.unit
  local tat, number = pair(q.key)
  q.number = number
  q.backlog = min(q.capacity, max(0, (tat or 0) - now))
  q.free = floor((q.capacity - q.backlog) / q.unit)
  q.full = q.backlog
end
function gcra.wait(q, units)
  if units > q.b then return NEVER end
  return max(0, q.backlog + units * q.unit - q.capacity)
end
function gcra.take(q, units)
  local number = text((q.backlog > 0 and q.number or now) + units)
  q.full = q.backlog + units * q.unit
  call('SET', q.key, text(now + q.full) .. ':' .. number, 'PX', expire_ms(q.full))
  return number
end
`

const period = `
local period = {}
function period.load(q)
  if q.algorithm == 'fixed' then
    q.begins = floor(now / q.a) * q.a
    q.ends = q.begins + q.a
  elseif now < q.b then q.begins, q.ends = q.a, q.b
  elseif now < q.c then q.begins, q.ends = q.b, q.c
  else q.begins, q.ends = q.c, q.d end
  local held, units = pair(q.key)
  q.count = 0
  if held and held >= q.begins then q.begins, q.count = held, units end
  q.free = max(0, q.limit - q.count)
  q.full = q.count > 0 and q.ends - now or 0
end
function period.wait(q, units)
  if units > q.limit then return NEVER end
  return units <= q.free and 0 or q.ends - now
end
function period.take(q, units)
  q.full = q.ends - now
  call('SET', q.key, text(q.begins) .. ':' .. text(q.count + units), 'PX', expire_ms(q.full))
  return text(q.begins)
end
`

const head = `${quotaLua}
local NEVER = -1
local function expire_ms(us) return text(ceil(us / 1000) + 1) end
`

const tail = `
local cost, least = tonumber(ARGV[1]), tonumber(ARGV[2])
local quotas, fits = {}, cost
for i, key in ipairs(KEYS) do
  local at = 6 * i - 3
  local q = { key = key, algorithm = ARGV[at], limit = tonumber(ARGV[at + 1]), a = tonumber(ARGV[at + 2]),
    b = tonumber(ARGV[at + 3]), c = tonumber(ARGV[at + 4]), d = tonumber(ARGV[at + 5]) }
  if q.algorithm == 'calendar' and (now < q.a or now >= q.d) then return {-1, now} end
  algorithms[q.algorithm].load(q)
  fits = min(fits, q.free)
  quotas[i] = q
end
local granted = fits >= least and fits or 0
local answer = { granted, now }
for i, q in ipairs(quotas) do
  local how, wait, token = algorithms[q.algorithm], 0, ''
  if granted > 0 then token = how.take(q, granted) else wait = how.wait(q, least) end
  local n = 4 * i
  answer[n - 1], answer[n], answer[n + 1], answer[n + 2] = q.free - granted, wait, q.full, token
end
return answer
`

const PARTS: Record<AlgorithmName, { readonly lua: string; readonly name: string }> = {
  log: { lua: log, name: 'log' },
  buckets: { lua: buckets, name: 'buckets' },
  gcra: { lua: gcra, name: 'gcra' },
  fixed: { lua: period, name: 'period' },
  calendar: { lua: period, name: 'period' },
}
const scripts = new Map<string, Script>()

/** Counts units in all quotas or in none; the order is that of decideTake. A take of 0 only asks. 1 round trip, O(units).
 *  KEYS a counter each. ARGV cost, at least, then of each quota 6: algorithm, limit, and window us (gcra: burst) or the
 *  four bounds of a calendar in us. Every key expires when nothing in it counts any more.
 *  Returns granted, now us, then of each quota remaining, wait us (-1: never), us until full, token. Granted -1: now is
 *  in none of a calendar's periods. */
export function takeScript(quotas: readonly QuotaSpec[]): Script {
  const key = quotas.length === 1 ? quotas[0]!.algorithm : namesOf(quotas).join()
  let script = scripts.get(key)
  if (script === undefined) scripts.set(key, (script = scriptOf(namesOf(quotas))))
  return script
}

/** Each once, in one order: there are at most 31 scripts. */
function namesOf(quotas: readonly QuotaSpec[]): AlgorithmName[] {
  return [...new Set(quotas.map(({ algorithm }) => algorithm))].toSorted()
}

/** Of the algorithms that are asked for: what a script does not define costs nothing. */
function scriptOf(names: readonly AlgorithmName[]): Script {
  const parts = new Set(names.map((name) => PARTS[name].lua))
  const table = names.map((name) => `${name} = ${PARTS[name].name}`)
  return defineScript(`${head}${[...parts].join('')}local algorithms = { ${table.join(', ')} }${tail}`)
}
