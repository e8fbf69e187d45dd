import { defineScript, type Script } from '@keelson/kernel/redis'
import { clockLua } from './clock.lua.ts'

/** Keys of users, on the first shard: `keys:id` HASH, `keys-of:scope` ZSET by creation. KEYS shard. */
const keyLua = `
local P, call = KEYS[1], redis.call
${clockLua}
local function reply(id)
  local row = call('HMGET', P .. ':keys:' .. id, 'scope', 'principal', 'sealed', 'at', 'expires')
  return row[1] and { id, row[1], row[2], row[3], row[4], row[5] or '' }
end
`

/** ARGV id, scope, principal, sealed, ms until it expires, or ''. Returns the key. */
export const insertKeyScript: Script = defineScript(`${keyLua}
local key = P .. ':keys:' .. ARGV[1]
call('DEL', key)
call('HSET', key, 'scope', ARGV[2], 'principal', ARGV[3], 'sealed', ARGV[4], 'at', now)
if ARGV[5] ~= '' then call('HSET', key, 'expires', now + ARGV[5]) end
call('ZADD', P .. ':keys-of:' .. ARGV[2], call('INCR', P .. ':n'), ARGV[1])
return reply(ARGV[1])
`)

/** ARGV id. Returns the key, nil for none. */
export const getKeyScript: Script = defineScript(`${keyLua}
return reply(ARGV[1])
`)

/** ARGV scope. Returns its keys. */
export const listKeysScript: Script = defineScript(`${keyLua}
local answer = {}
for i, id in ipairs(call('ZRANGE', P .. ':keys-of:' .. ARGV[1], 0, -1)) do answer[i] = reply(id) end
return answer
`)

/** ARGV scope, id, ms. Returns 1, 0 for none. */
export const expireKeyScript: Script = defineScript(`${keyLua}
local row = reply(ARGV[2])
if not row or row[2] ~= ARGV[1] then return 0 end
call('HSET', P .. ':keys:' .. ARGV[2], 'expires', math.min(now + ARGV[3], tonumber(row[6]) or math.huge))
return 1
`)
