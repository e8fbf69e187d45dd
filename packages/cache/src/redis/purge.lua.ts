import { defineScript, type Script } from '@keelson/kernel/redis'
import { entryLua } from './entry.lua.ts'
import { stateLua } from './state.lua.ts'

/** Deletes entries: all, or those that are invalid. KEYS state, entries. ARGV '1' for all, the scope of each. Returns how
 *  many. */
export const purgeScript: Script = defineScript(`${stateLua}${entryLua}
local state, now = get_state(KEYS[1])
local deleted = 0
for i = 2, #KEYS do
  local e = ARGV[1] ~= '1' and get_entry(KEYS[i])
  if not e or not turns_stale(KEYS[1], state, ARGV[i], e, now) then
    deleted = deleted + redis.call('UNLINK', KEYS[i])
  end
end
return deleted
`)
