import { defineScript, type Script } from '@keelson/kernel/redis'
import { recordLua } from './record.lua.ts'

/** Notes that a record speaks of a subject, and drops what is over. Of each the latest end counts: a repeat is harmless.
 *  KEYS set of the subject, by when each record is over. ARGV ref, ms from now. 1 round trip. */
export const noteScript: Script = defineScript(`
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local keep_ms = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], 'GT', string.format('%.0f', now + keep_ms), ARGV[1])
if redis.call('PTTL', KEYS[1]) < keep_ms then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
`)

/** What a record has of a person. KEYS record. Returns nil, or state, claimed at in ms, bytes. */
export const heldScript: Script = defineScript(`${recordLua}
local r = get_record(KEYS[1])
if not r or r.payload == '' then return false end
return {r.state, r.began, r.payload}
`)

/** Takes it away with the fingerprint, unless its owner still runs; what had bytes is a tombstone then. KEYS record.
 *  Returns nil, or state, claimed at in ms, and the bytes that are gone. */
export const eraseScript: Script = defineScript(`${recordLua}
local r = get_record(KEYS[1])
if not r then return false end
local state, payload = r.state, r.payload
if state == 0 and (payload == '' or r.lease_end > math.floor(now_us() / 1000)) then return false end
if payload ~= '' then r.state = 2 end
r.payload, r.alg, r.digest, r.lease_end = '', 0, string.rep(string.char(0), 32), 0
redis.call('SET', KEYS[1], pack_record(r), 'KEEPTTL')
if payload == '' then return false end
return {state, r.began, payload}
`)
