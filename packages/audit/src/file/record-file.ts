import type { Files } from '@keelson/kernel/files'
import { closeFrame, frameAt, frameBytes, FRAME_HEAD, type Frame, type FrameType } from './frame.ts'
import { openGrowingFile } from './growing-file.ts'

/** It is known where every so many-th record begins; those between are found from there. */
const EVERY = 64
const CHUNK_BYTES = 4 << 20

/** Records with ordinals from 0 that are only ever appended. */
export interface RecordFile {
  readonly count: number
  readonly bytes: number
  /** Resolves when they are durable; they count once what it answers is called, and otherwise the next take their place. */
  append(payloads: readonly Uint8Array[]): Promise<() => void>
  /** Null for those that are broken. None at all unless each of the `needles` is somewhere among them. */
  read(from: number, to: number, needles?: readonly Buffer[]): Promise<(Buffer | null)[]>
  close(): Promise<void>
}

/** Opens it as far as `limit` records go; what is behind them does not count. `found` hears of each. */
export async function openRecordFile(
  files: Files,
  folder: string,
  name: string,
  type: FrameType,
  limit: number,
  found?: (ordinal: number, payload: Buffer) => void,
): Promise<RecordFile> {
  const file = await openGrowingFile(files, folder, name)
  const size = await file.size()
  const marks: number[] = []
  let count = 0
  let end = 0

  function mark(ordinal: number, at: number): void {
    while (marks.length * EVERY <= ordinal) marks.push(at)
  }
  for (let at = 0; at < size && count < limit;) {
    const chunk = await file.read(at, Math.min(CHUNK_BYTES, size - at))
    const { frames, rest } = framesIn(chunk, type, at + chunk.length === size)
    for (const frame of frames) {
      if (frame.ordinal < count || frame.ordinal >= limit) continue
      mark(frame.ordinal, at + frame.at)
      found?.(frame.ordinal, chunk.subarray(frame.payload, frame.end))
      count = frame.ordinal + 1
      end = at + frame.at + frameBytes(frame.end - frame.payload)
    }
    at += rest
  }
  // Broken ones at the end have their ordinals, wherever the next ones are written.
  if (limit !== Infinity) count = limit

  return {
    get count() {
      return count
    },
    get bytes() {
      return end
    },
    async append(payloads) {
      if (payloads.length > 0) await file.put(framesOf(type, count, payloads), end)
      return () => {
        for (const { length } of payloads) {
          mark(count, end)
          count++
          end += frameBytes(length)
        }
      }
    },
    async read(from, to, needles = []) {
      const last = Math.min(to, count)
      if (from >= last) return []
      const begin = marks[Math.floor(from / EVERY)] ?? end
      const bytes = await file.read(begin, (marks[Math.ceil(last / EVERY)] ?? end) - begin)
      if (needles.some((needle) => !bytes.includes(needle))) return []
      const records: (Buffer | null)[] = Array.from({ length: last - from }, () => null)
      for (const { ordinal, payload, end } of framesIn(bytes, type, true).frames)
        if (ordinal >= from && ordinal < last) records[ordinal - from] = bytes.subarray(payload, end)
      return records
    },
    close: () => file.close(),
  }
}

/** Payloads as frames behind each other, in one buffer: one for each is most of what a small record costs. */
function framesOf(type: FrameType, first: number, payloads: readonly Uint8Array[]): Buffer {
  const frames = Buffer.allocUnsafeSlow(payloads.reduce((sum, { length }) => sum + frameBytes(length), 0))
  let at = 0
  for (const [i, payload] of payloads.entries()) {
    frames.set(payload, at + FRAME_HEAD)
    at = closeFrame(frames, at, type, first + i, payload.length)
  }
  return frames
}

/** Whole frames, also behind broken ones; `rest` is where to go on with more bytes. */
function framesIn(bytes: Buffer, type: FrameType, isLast: boolean) {
  const frames: Frame[] = []
  let at = 0
  while (at + FRAME_HEAD <= bytes.length) {
    const frame = frameAt(bytes, at, type)
    // One that seems cut may be broken: then it is at the beginning of the next bytes, and seems so again.
    if (frame === 'cut' && !isLast && at > 0) return { frames, rest: at }
    if (typeof frame === 'string') {
      at += 8
      continue
    }
    frames.push(frame)
    at += frameBytes(frame.end - frame.payload)
  }
  return { frames, rest: isLast ? bytes.length : at }
}
