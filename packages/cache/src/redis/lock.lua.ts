import { defineScript, type Script } from '@keelson/kernel/redis'

/*
 * A lock is one string that expires: '1' if somebody waits, else '0'; 14 bytes of the call that took it; its owner:
 * the stamp of its lease|node.
 */

/** Whose lock it is, and how who waits is woken. */
export const lockLua = `
local OWNER = 16
local function get_lock(key)
  local held = redis.pcall('GET', key)
  return type(held) == 'string' and #held >= OWNER and held or nil
end
local function is_own(held, owner) return held and string.sub(held, OWNER) == owner end
local function wake(held, channel, message)
  if held and string.sub(held, 1, 1) == '1' then redis.call('PUBLISH', channel, message) end
end
`

/** Ends a lock, for its owner. KEYS lock. ARGV owner, channel, message for who waits. */
export const unlockScript: Script = defineScript(`${lockLua}
local held = get_lock(KEYS[1])
if not is_own(held, ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
wake(held, ARGV[2], ARGV[3])
return 1
`)

/** Renews locks, each for its owner. KEYS locks. ARGV lock ms, and the owner of each. */
export const extendScript: Script = defineScript(`${lockLua}
for i, key in ipairs(KEYS) do
  if is_own(get_lock(key), ARGV[i + 1]) then redis.call('PEXPIRE', key, ARGV[1]) end
end
return 1
`)
