import { systemClock, type Logger } from '@keelson/kernel'
import { freshFile, writeAll, type File, type Files } from '@keelson/kernel/files'
import { entryFrameBytes, ID_AT, writeEntry, type StoredEntry } from './entry-frame.ts'
import { codeOf, isFull } from './failure.ts'
import { idBytes } from './ids.ts'
import { keyFramesBytes, writeKeys } from './key-frame.ts'
import { findSegments, recoverSegment } from './recovery.ts'
import { createSegment, segmentFolder, segmentName, type Segment } from './segment.ts'
import type { Row } from '../store.ts'

/** A segment is ended when its oldest entry is so old, however small it is: else a quiet log could never be pruned. */
const SEGMENT_MS = 30 * 86_400_000
/** Larger buffers for a batch are not kept. */
const SCRATCH_BYTES = 1 << 20

/** How entries are kept. */
export interface JournalOptions {
  readonly fsync: boolean
  readonly segmentBytes: number
  readonly logger: Logger | undefined
}

/** The entries of one log in the order in which they became durable: positions from 0, in segments. */
export interface Journal {
  /** Ascending; the last one is written to. */
  readonly segments: readonly Segment[]
  /** The position of the next entry. */
  readonly end: number
  /** Bytes of entries and keys. */
  readonly bytes: number
  /** Resolves when all of them are durable. When it rejects they are not, unless a crash brings them back. One at a time. */
  write(rows: readonly Row[]): Promise<void>
  /** From a position on, null for what is lost or dropped; at least one. */
  read(from: number, to: number, maxBytes: number): Promise<(StoredEntry | null)[]>
  /** The next so many bytes go into the last segment there is. */
  grows(bytes: number): boolean
  /** Where the segment with this position is. */
  at(position: number): Segment | undefined
  /** What was written is synced, whatever was promised. */
  sync(): Promise<void>
  /** Drops segments that end at or below this position. Not while something is written. */
  drop(below: number): Promise<void>
  close(): Promise<void>
}

/**
 * Opens it from the position `kept` on, below which all was dropped; `synced` is one up to which all was whole once.
 */
export async function openJournal(
  files: Files,
  folder: string,
  o: JournalOptions,
  kept: number,
  synced: number,
): Promise<Journal> {
  const path = segmentFolder(folder)
  await files.makeFolder(path)
  await files.syncFolder(folder)
  const segments = await openSegments(files, folder, kept, synced)
  // Behind what failed, or may have, nothing is written.
  let ended = !(await canGoOn(segments.at(-1), o))
  let end = Math.max(kept, synced, ...segments.slice(-1).map((last) => last.first + last.count))
  let stored = segments.reduce((sum, segment) => sum + bytesOf(segment), 0)
  // Batches are made in it.
  const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)

  function grows(bytes: number): boolean {
    const last = segments.at(-1)
    return last !== undefined && !ended && !last.isEnded && hasRoom(last, bytes, o)
  }

  async function segmentFor(bytes: number): Promise<Segment> {
    const last = segments.at(-1)
    if (grows(bytes)) return last!
    const file = await freshFile(files, `${path}/${segmentName(end)}`)
    try {
      await file.truncate(Math.max(o.segmentBytes, bytes))
      await files.syncFolder(path)
    } catch (error) {
      await file.close()
      throw error
    }
    if (last !== undefined) await endSegment(last)
    const segment = createSegment(files, folder, end, file)
    segments.push(segment)
    ended = false
    return segment
  }

  async function endSegment(last: Segment): Promise<void> {
    if (last.first === end) {
      segments.pop()
      return last.drop(true)
    }
    last.end()
    // Only what was promised less than it.
    if (!o.fsync) await syncSegment(last)
  }

  /** One attempt at the end of a segment. */
  async function commit(rows: readonly Row[], bytes: number, keysBytes: number): Promise<void> {
    const segment = await segmentFor(bytes)
    const buffer = bytes + keysBytes <= SCRATCH_BYTES ? scratch : Buffer.allocUnsafeSlow(bytes + keysBytes)
    const batchFirst = segment.count
    let at = 0
    let keysAt = bytes
    for (let i = 0; i < rows.length; i++) {
      const keysEnd = writeKeys(buffer, keysAt, batchFirst + i, rows[i]!)
      at = writeEntry(buffer, at, batchFirst + i, rows[i]!, {
        batchFirst,
        batchCount: rows.length,
        keysAt: segment.keysUsed + keysAt - bytes,
        keysBytes: keysEnd - keysAt,
      })
      keysAt = keysEnd
    }
    const parts: Part[] = [{ file: segment.file, bytes: buffer.subarray(0, bytes), at: segment.used }]
    if (keysBytes > 0)
      parts.push({ file: await segment.keyFile(), bytes: buffer.subarray(bytes, keysAt), at: segment.keysUsed })
    await writeParts(parts)
    if (o.fsync) await Promise.all(parts.map(({ file }) => file.datasync()))
    at = 0
    const { used } = segment
    for (const row of rows) {
      const next = at + entryFrameBytes(row)
      segment.found(used + at, used + next, buffer, at + ID_AT)
      at = next
    }
    segment.setKeysUsed(segment.keysUsed + keysBytes)
    stored += bytes + keysBytes
    end = segment.first + segment.count
  }

  /**
   * A failed sync may have dropped what it could not write, and the next one would say that all is well: the file is never
   * synced again, and what nobody was told of yet goes to another one.
   */
  function poisoned(error: unknown): void {
    ended = true
    // The disk may be dying, although callers hear nothing of it.
    if (!isFull(error)) o.logger?.error({ err: error, folder }, 'audit.store.poisoned')
  }

  return {
    segments,
    grows,
    get end() {
      return end
    },
    get bytes() {
      return stored
    },
    async write(rows) {
      const bytes = rows.reduce((sum, row) => sum + entryFrameBytes(row), 0)
      const keysBytes = rows.reduce((sum, row) => sum + keyFramesBytes(row), 0)
      try {
        return await commit(rows, bytes, keysBytes)
      } catch (error) {
        if (error instanceof Refused) throw error.cause
        poisoned(error)
      }
      try {
        return await commit(rows, bytes, keysBytes)
      } catch (error) {
        poisoned(error)
        throw error instanceof Refused ? error.cause : error
      }
    },
    at: (position) => segmentAt(segments, position),
    async read(from, to, maxBytes) {
      const segment = segmentAt(segments, from)
      if (segment === undefined) return [null]
      return segment.read(from - segment.first, Math.min(to - segment.first, segment.count), maxBytes)
    },
    async sync() {
      const last = segments.at(-1)
      if (!o.fsync && !ended && last !== undefined) await syncSegment(last)
    },
    async drop(below) {
      const doomed = segments.filter(({ first, count }) => first + count <= below)
      if (doomed.length === 0) return
      segments.splice(0, doomed.length)
      stored -= doomed.reduce((sum, segment) => sum + bytesOf(segment), 0)
      for (const segment of doomed) await segment.drop()
      await files.syncFolder(path)
    },
    async close() {
      for (const segment of segments) await segment.close()
    },
  }
}

/** The newest entry with this id that is whole. */
export async function findEntry(
  journal: Journal,
  id: string,
): Promise<{ readonly position: number; readonly entry: StoredEntry } | undefined> {
  const bytes = idBytes(id)
  for (const { first, ids } of journal.segments.toReversed()) {
    for (const ordinal of ids.candidates(bytes, 0)) {
      const [entry] = await journal.read(first + ordinal, first + ordinal + 1, 0)
      if (entry?.id === id) return { position: first + ordinal, entry }
    }
  }
  return undefined
}

/** Bytes on their way into a file. */
interface Part {
  readonly file: File
  readonly bytes: Uint8Array
  readonly at: number
}

/** There was no room, and nothing is left of the attempt: the segment goes on where it was. */
class Refused extends Error {}

async function writeParts(parts: readonly Part[]): Promise<void> {
  try {
    for (const { file, bytes, at } of parts) await writeAll(file, bytes, at)
  } catch (error) {
    if (!isFull(error)) throw error
    // A shorter batch in its place would leave the rest of it behind, which looks like entries.
    for (const { file, at } of parts) await file.truncate(at)
    for (const { file } of parts) await file.datasync()
    throw new Refused('no room', { cause: error })
  }
}

async function openSegments(files: Files, folder: string, kept: number, synced: number): Promise<Segment[]> {
  const segments: Segment[] = []
  const firsts = await findSegments(files, folder)
  for (const [i, first] of firsts.entries()) {
    const next = firsts[i + 1]
    const segment = await recoverSegment(files, folder, first, next, synced)
    // A crash came between the word that they are dropped and the deed.
    if (segment.first + segment.count <= kept && (segment.count > 0 || next !== undefined)) {
      await segment.drop()
      continue
    }
    if (next !== undefined) segment.end()
    segments.push(segment)
  }
  return segments
}

/** What is torn behind its end must not lie behind what is written next. */
async function canGoOn(last: Segment | undefined, o: JournalOptions): Promise<boolean> {
  if (last === undefined || last.count === 0 || last.isLost(last.count - 1)) return false
  try {
    await last.file.truncate(last.used)
    await last.file.truncate(Math.max(o.segmentBytes, last.used))
    await last.file.datasync()
    return true
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return false
  }
}

function hasRoom(last: Segment, bytes: number, o: JournalOptions): boolean {
  if (last.count === 0) return true
  if (last.oldestMs < systemClock.now() - SEGMENT_MS) return false
  return last.used + bytes <= o.segmentBytes && last.keysUsed <= o.segmentBytes
}

async function syncSegment(segment: Segment): Promise<void> {
  await segment.file.datasync()
  if (segment.keysUsed > 0) await (await segment.keyFile()).datasync()
}

function bytesOf({ used, keysUsed }: Segment): number {
  return used + keysUsed
}

/** By halves. */
function segmentAt(segments: readonly Segment[], position: number): Segment | undefined {
  let low = 0
  let high = segments.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (segments[middle]!.first <= position) low = middle + 1
    else high = middle
  }
  const segment = segments[low - 1]
  return segment !== undefined && position < segment.first + segment.count ? segment : undefined
}
