import { crc32 } from 'node:zlib'
import type { StoreChange } from '../store.ts'

/*
 * Record: RS, a checksum of all behind it, the length of the body, a line feed, and the body: a line of JSON for each
 * change, `["key",value]`, or `["key"]` for one that was removed. Both numbers are 8 hexadecimal digits.
 *
 * JSON has neither RS nor LF in its texts (RFC 7464 makes use of it): an RS is where a record begins, whatever stands in
 * front of it.
 */
const RS = 0x1e
const LF = 0x0a
const SUM_AT = 1
const LENGTH_AT = 9
const BODY_AT = 18

/** A line of a change. Throws for what is no JSON. */
export function lineOf([key, value]: StoreChange): string {
  if (value === undefined) return `${JSON.stringify([key])}\n`
  const json = JSON.stringify(value) as string | undefined
  if (json === undefined) throw new TypeError(`the value of ${JSON.stringify(key)} is no JSON: ${typeof value}`)
  return `[${JSON.stringify(key)},${json}]\n`
}

/** All of these lines are there after a crash, or none. */
export function recordOf(lines: string): Buffer {
  const length = Buffer.byteLength(lines)
  const record = Buffer.allocUnsafe(BODY_AT + length)
  record[0] = RS
  record.write(hex(length), LENGTH_AT, 'latin1')
  record[BODY_AT - 1] = LF
  record.write(lines, BODY_AT)
  record.write(hex(crc32(record.subarray(LENGTH_AT))), SUM_AT, 'latin1')
  return record
}

/** Where the last whole record begins and ends, and the offset of a broken one that is not the last. */
export interface Extent {
  readonly last: number
  readonly end: number
  readonly broken?: number
}

/**
 * Tells each change of the whole records, with the bytes of its line.
 *
 * A record is written when the one before it was synced, so a crash breaks the last one only, and whatever is broken in
 * front of another was whole once.
 */
export function readRecords(bytes: Buffer, found: (change: StoreChange, bytes: number) => void): Extent {
  let last = 0
  let end = 0
  while (end < bytes.length) {
    const next = endOfRecord(bytes, end)
    if (next === undefined) return bytes.indexOf(RS, end + 1) === -1 ? { last, end } : { last, end, broken: end }
    readLines(bytes, end + BODY_AT, next, found)
    last = end
    end = next
  }
  return { last, end }
}

/** Undefined for what is no whole record. */
function endOfRecord(bytes: Buffer, at: number): number | undefined {
  if (bytes[at] !== RS || at + BODY_AT > bytes.length) return undefined
  const end = at + BODY_AT + numberAt(bytes, at + LENGTH_AT)
  // Not a number, if there is none.
  if (!(end <= bytes.length)) return undefined
  return crc32(bytes.subarray(at + LENGTH_AT, end)) === numberAt(bytes, at + SUM_AT) ? end : undefined
}

function readLines(bytes: Buffer, from: number, to: number, found: (change: StoreChange, bytes: number) => void): void {
  for (let at = from; at < to;) {
    const next = bytes.indexOf(LF, at) + 1
    found(JSON.parse(bytes.toString('utf8', at, next)) as StoreChange, next - at)
    at = next
  }
}

const hex = (n: number): string => n.toString(16).padStart(8, '0')
const numberAt = (bytes: Buffer, at: number): number => Number(`0x${bytes.toString('latin1', at, at + 8)}`)
