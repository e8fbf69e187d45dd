import type { Row } from '../store.ts'
import { closeFrame, FRAME, FRAME_HEAD, frameBytes, type Frame } from './frame.ts'
import { readId, writeId } from './ids.ts'

/*
 * Payload of an entry's frame: first ordinal and number of the batch that it was synced with, where its keys are in the
 * file of keys, id, bytes. Frames of a batch are in the file once the one before it was synced: so whatever is broken
 * below the last batch was whole once, and the last one counts only if all of it is there, with its keys.
 */
const BATCH_FIRST = 0
const BATCH_COUNT = 4
const KEYS_AT = 8
const KEYS_BYTES = 12
const ID = 16
const BYTES = 32
/** Of the id, from the beginning of the frame. */
export const ID_AT: number = FRAME_HEAD + ID
/** A frame of an entry without bytes. */
export const SMALLEST_BYTES: number = FRAME_HEAD + BYTES

/** The last of what a frame of an entry may say of itself. */
export interface EntryPlace {
  readonly batchFirst: number
  readonly batchCount: number
  readonly keysAt: number
  readonly keysBytes: number
}

/** An entry as it lies in a segment. */
export interface StoredEntry {
  readonly id: string
  readonly bytes: Uint8Array
  readonly keysAt: number
  readonly keysBytes: number
}

export function entryFrameBytes(row: Row): number {
  return frameBytes(BYTES + row.bytes.length)
}

/** Answers where the next frame begins. */
export function writeEntry(into: Buffer, at: number, ordinal: number, row: Row, place: EntryPlace): number {
  const payload = at + FRAME_HEAD
  into.writeUInt32LE(place.batchFirst, payload + BATCH_FIRST)
  into.writeUInt32LE(place.batchCount, payload + BATCH_COUNT)
  into.writeUInt32LE(place.keysAt, payload + KEYS_AT)
  into.writeUInt32LE(place.keysBytes, payload + KEYS_BYTES)
  writeId(row.id, into, payload + ID)
  into.set(row.bytes, payload + BYTES)
  return closeFrame(into, at, FRAME.entry, ordinal, BYTES + row.bytes.length)
}

/** Of a frame that is whole. */
export function readPlace(bytes: Buffer, frame: Frame): EntryPlace {
  return {
    batchFirst: bytes.readUInt32LE(frame.payload + BATCH_FIRST),
    batchCount: bytes.readUInt32LE(frame.payload + BATCH_COUNT),
    keysAt: bytes.readUInt32LE(frame.payload + KEYS_AT),
    keysBytes: bytes.readUInt32LE(frame.payload + KEYS_BYTES),
  }
}

export function readEntry(bytes: Buffer, frame: Frame): StoredEntry {
  return {
    id: readId(bytes, frame.payload + ID),
    bytes: bytes.subarray(frame.payload + BYTES, frame.end),
    keysAt: bytes.readUInt32LE(frame.payload + KEYS_AT),
    keysBytes: bytes.readUInt32LE(frame.payload + KEYS_BYTES),
  }
}
