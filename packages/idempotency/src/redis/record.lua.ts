/*
 * A record is one string, integers big-endian: version u8 (1), state u8, fence u64, attempt u32, nonce 16, alg u8,
 * digest 32, lease end u64 (ms), claimed at u64 (ms), length of meta u16: 81 bytes; then meta (see meta.ts), then the
 * payload: the answer of a done record, the checkpoint of one in flight. What has expired is gone by its TTL.
 */

/** The states by their byte; the scripts know them by number. */
export const STATES = ['inflight', 'done', 'tombstone', 'unknown'] as const

/** Reads and writes records; each script begins with it. Time is the server's alone. */
export const recordLua = `
local function now_us()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end
local FORMAT = '>BBI8I4c16Bc32I8I8H'
local function unpack_record(text)
  local r = {}
  local version, length, at
  version, r.state, r.fence, r.attempt, r.nonce, r.alg, r.digest, r.lease_end, r.began, length, at = struct.unpack(FORMAT, text)
  if version ~= 1 then error('keelson: record of version ' .. version .. ', known is 1') end
  r.meta = string.sub(text, at, at + length - 1)
  r.payload = string.sub(text, at + length)
  return r
end
local function pack_record(r)
  return struct.pack(FORMAT, 1, r.state, r.fence, r.attempt, r.nonce, r.alg, r.digest, r.lease_end, r.began, #r.meta)
    .. r.meta .. r.payload
end
local function get_record(key)
  local text = redis.call('GET', key)
  return text and unpack_record(text)
end
local function get_own(key, nonce, fence)
  local r = get_record(key)
  if r and r.nonce == nonce and r.fence == tonumber(fence) then return r end
end
-- The record must outlive its lease: its fence refuses a late owner.
local function put_renewed(key, r, lease_ms)
  if redis.call('PTTL', key) < lease_ms then redis.call('SET', key, pack_record(r), 'PX', lease_ms)
  else redis.call('SET', key, pack_record(r), 'KEEPTTL') end
end
`
