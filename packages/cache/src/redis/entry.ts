import { CacheError } from '../error.ts'
import type { Entry, Stored } from '../store.ts'

/** In front of the epoch; its layout stands in entry.lua.ts. */
const FIXED = 46
/** What four bytes can say. */
const MOST_LOAD_MS = 2 ** 32 - 1
const US_PER_MS = 1_000

/** The part of an entry's head that no script changes: fill, codec, tags. */
export function packHead({ fill, codec, tags }: Entry): Buffer {
  const parts: Uint8Array[] = [short(fill), short(codec), Buffer.of(tags.length)]
  for (const tag of tags) {
    const text = Buffer.from(tag)
    parts.push(Buffer.of(text.length >> 8, text.length), text)
  }
  return Buffer.concat(parts)
}

function short(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.of(bytes.length), bytes])
}

/** Times as the scripts take them, whole ms. */
export function times({ ttlMs, graceMs, loadMs }: Entry): number[] {
  return [Math.max(1, Math.ceil(ttlMs)), Math.ceil(graceMs), Math.min(Math.round(loadMs), MOST_LOAD_MS)]
}

/** @throws CacheError VALUE_UNSUPPORTED */
export function bodyOf({ body }: Entry): Uint8Array {
  if (body === undefined) throw new CacheError('VALUE_UNSUPPORTED', 'redisStore keeps bytes only')
  return body
}

/** An entry as a script answered it: checked there to the byte. `softly`: it was made stale before its time. */
export function unpackEntry(raw: Buffer, nowUs: number, o: { body: boolean; softly: boolean }): Stored {
  const headBytes = raw.readUInt32BE(1)
  const ttlMs = (Number(raw.readBigUInt64BE(25)) - nowUs) / US_PER_MS
  let at = FIXED
  const take = (bytes: number): string => raw.toString('utf8', at, (at += bytes))
  const takeShort = (): string => take(raw[at++]!)
  const epoch = take(raw[FIXED - 1]!)
  const fill = takeShort()
  const codec = takeShort()
  const tags = Array.from({ length: raw[at++]! }, () => {
    at += 2
    return take(raw.readUInt16BE(at - 2))
  })
  return {
    ...(o.body ? { body: raw.subarray(headBytes) } : {}),
    codec,
    tags,
    stamp: `${epoch}:${raw.readBigUInt64BE(9)}`,
    fill,
    loadMs: raw.readUInt32BE(41),
    ageMs: (nowUs - Number(raw.readBigUInt64BE(17))) / US_PER_MS,
    ttlMs: o.softly ? Math.min(0, ttlMs) : ttlMs,
  }
}
