import type { RedisReply } from './port.ts'

/** What the clients' decoders make of a reply, whatever their options. */
type Raw = unknown

/** Commands that RESP3 answers with pairs, where RESP2 answers a flat array. */
const PAIRS = new Set(
  'HRANDFIELD ZDIFF ZINTER ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZUNION'.split(
    ' ',
  ),
)
/** Commands that RESP3 answers with a map, where RESP2 answers pairs. */
const MAPS = new Set(['XREAD', 'XREADGROUP'])

/**
 * One shape for one answer: that of RESP2, as scripts and all older clients see it.
 * @throws the server's error when one is inside an array.
 */
export function toReply(raw: Raw, command: string): RedisReply {
  const reply = plain(raw)
  if (!Array.isArray(reply)) return reply
  if (PAIRS.has(command)) return reply.flat()
  if (MAPS.has(command) && !Array.isArray(reply[0])) return pairs(reply)
  return reply
}

function plain(raw: Raw): RedisReply {
  if (raw === null || raw === undefined) return null
  if (typeof raw === 'number') return raw
  if (typeof raw === 'boolean') return Number(raw)
  if (typeof raw === 'bigint') return Buffer.from(String(raw))
  if (typeof raw === 'string') return Buffer.from(raw)
  if (Buffer.isBuffer(raw)) return raw
  if (Array.isArray(raw)) return raw.map(plain)
  if (raw instanceof Error) throw raw
  if (raw instanceof Map) return [...raw].flat().map(plain)
  if (raw instanceof Set) return [...raw].map(plain)
  return Object.entries(raw).flat().map(plain)
}

function pairs(flat: readonly RedisReply[]): RedisReply[] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!, flat[2 * i + 1]!])
}
