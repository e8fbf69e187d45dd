import { crc32 } from 'node:zlib'

/*
 * Frame: length of the payload, checksum of all behind it, type, ordinal in its file, payload; u32 in little endian. It
 * begins at a multiple of 8 and is filled up with zeros to the next, so that one behind a broken one can be found.
 *
 * The checksum finds torn writes and bad sectors; what somebody alters is found by the tree. It is the CRC-32 of zlib and
 * not CRC-32C: both find every burst of up to 32 bits, and Node's own one is 3 to 6 times as fast as a table in
 * JavaScript.
 */

export const FRAME_HEAD = 16
/** Of a payload: an entry with what belongs to it, or a leaf whose texts are all escaped, is smaller. */
export const MAX_PAYLOAD: number = 1 << 20

/** What a frame is; 0 is the emptiness behind the last one. */
export const FRAME = { entry: 1, key: 2, leaf: 3, checkpoint: 4 } as const
export type FrameType = (typeof FRAME)[keyof typeof FRAME]

/** How many bytes a frame with so long a payload takes. */
export function frameBytes(payload: number): number {
  return (FRAME_HEAD + payload + 7) & ~7
}

/** Frames the payload that was written at `at + FRAME_HEAD`. Answers where the next frame begins. */
export function closeFrame(into: Buffer, at: number, type: FrameType, ordinal: number, payload: number): number {
  const end = at + FRAME_HEAD + payload
  const next = at + frameBytes(payload)
  into.writeUInt32LE(payload, at)
  into.writeUInt32LE(type, at + 8)
  into.writeUInt32LE(ordinal, at + 12)
  into.writeUInt32LE(crc32(into.subarray(at + 8, end)), at + 4)
  for (let i = end; i < next; i++) into[i] = 0
  return next
}

/** Where a frame is in the bytes that were read. */
export interface Frame {
  readonly ordinal: number
  /** Of its head, and of its payload up to `end`. */
  readonly at: number
  readonly payload: number
  readonly end: number
}

/** The frame at `at`; 'broken' if there is none, 'cut' if it would go on behind the bytes. */
export function frameAt(bytes: Buffer, at: number, type: FrameType): Frame | 'broken' | 'cut' {
  if (at + FRAME_HEAD > bytes.length) return 'cut'
  const length = bytes.readUInt32LE(at)
  if (length > MAX_PAYLOAD || bytes.readUInt32LE(at + 8) !== type) return 'broken'
  const payload = at + FRAME_HEAD
  const end = payload + length
  if (end > bytes.length) return 'cut'
  if (crc32(bytes.subarray(at + 8, end)) !== bytes.readUInt32LE(at + 4)) return 'broken'
  return { ordinal: bytes.readUInt32LE(at + 12), at, payload, end }
}
