import { readAll, replaceFile, type File, type Files } from '@keelson/kernel/files'
import { ID_AT, readPlace, SMALLEST_BYTES, type EntryPlace } from './entry-frame.ts'
import { FRAME, frameAt, frameBytes, FRAME_HEAD, MAX_PAYLOAD, type Frame } from './frame.ts'
import { areKeys } from './key-frame.ts'
import { createSegment, keysName, segmentFolder, segmentName, type Segment } from './segment.ts'

/** Of one read; more than the largest frame. */
const CHUNK_BYTES = 4 * MAX_PAYLOAD

/** Bytes between frames that are none. */
interface Broken {
  readonly at: number
  readonly end: number
}

/**
 * Opens a segment and finds its entries. `next` is where the one behind it begins: what is there from then on was never
 * acknowledged here. `synced`: all positions below it are known to have been whole once. What is broken below the end is
 * lost and moved aside; what is torn at the end of the last segment is cut off.
 */
export async function recoverSegment(
  files: Files,
  folder: string,
  first: number,
  next: number | undefined,
  synced: number,
): Promise<Segment> {
  const path = segmentFolder(folder)
  const file = await files.open(`${path}/${segmentName(first)}`, 'old')
  const keys = await openKeys(files, `${path}/${keysName(first)}`)
  const segment = createSegment(files, folder, first, file, keys)
  if (keys !== undefined) segment.setKeysUsed(((await keys.size()) + 7) & ~7)

  const { broken, last } = await scan(segment, next === undefined ? Infinity : next - first)
  if (next === undefined) {
    if (last !== undefined && !(await isWhole(segment, last, synced))) await cutBatch(segment, last.batchFirst, broken)
    while (segment.first + segment.count < synced) segment.foundLost()
  } else {
    while (segment.first + segment.count < next) segment.foundLost()
  }
  if (segment.lost > 0) await moveAside(files, folder, segment, broken)
  return segment
}

async function openKeys(files: Files, path: string): Promise<File | undefined> {
  try {
    return await files.open(path, 'old')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Walks through all frames; `last` is what the last of them says of its batch. */
async function scan(
  segment: Segment,
  limit: number,
): Promise<{ readonly broken: Broken[]; readonly last: EntryPlace | undefined }> {
  const size = await segment.file.size()
  const broken: Broken[] = []
  let last: { readonly chunk: Buffer; readonly frame: Frame } | undefined
  // Where frames are expected, and since when there are none.
  let at = 0
  let none: { at: number; end: number } | undefined
  let chunkAt = 0
  let chunk = await readAll(segment.file, 0, Math.min(CHUNK_BYTES, size))
  while (at + FRAME_HEAD <= size && segment.count < limit) {
    let frame = frameAt(chunk, at - chunkAt, FRAME.entry)
    if (frame === 'cut' && chunkAt + chunk.length < size) {
      chunkAt = at
      chunk = await readAll(segment.file, at, Math.min(CHUNK_BYTES, size - at))
      frame = frameAt(chunk, 0, FRAME.entry)
    }
    if (typeof frame === 'string' || !isNext(segment, frame.ordinal, at, limit)) {
      none ??= { at, end: at }
      if (!isZero(chunk, at - chunkAt)) none.end = at + 8
      at = chunkAt + nextUsed(chunk, at - chunkAt + 8)
      continue
    }
    if (none !== undefined) broken.push(none)
    none = undefined
    while (segment.count < frame.ordinal) segment.foundLost()
    const next = at + frameBytes(frame.end - frame.payload)
    segment.found(at, next, chunk, frame.at + ID_AT)
    last = { chunk, frame }
    at = next
  }
  if (none !== undefined && none.end > none.at) broken.push(none)
  return { broken, last: last === undefined ? undefined : readPlace(last.chunk, last.frame) }
}

/** A lower ordinal is a copy of something; of those in between, there must have been room for them. */
function isNext(segment: Segment, ordinal: number, at: number, limit: number): boolean {
  const between = ordinal - segment.count
  return between >= 0 && ordinal < limit && between * SMALLEST_BYTES <= at - segment.used
}

function isZero(chunk: Buffer, at: number): boolean {
  return chunk.readUInt32LE(at) === 0 && chunk.readUInt32LE(at + 4) === 0
}

/** Passes zeros by: a segment is filled with them ahead. */
function nextUsed(chunk: Buffer, from: number): number {
  let at = from
  while (at + 8 <= chunk.length && isZero(chunk, at)) at += 8
  return Math.min(at, Math.max(from, chunk.length & ~7))
}

/** The last batch was acknowledged, or could have been. */
async function isWhole(segment: Segment, batch: EntryPlace, synced: number): Promise<boolean> {
  const { batchFirst, batchCount } = batch
  if (segment.first + batchFirst < synced) {
    while (segment.count < batchFirst + batchCount) segment.foundLost()
    return true
  }
  if (segment.count !== batchFirst + batchCount) return false
  for (let ordinal = batchFirst; ordinal < segment.count;) {
    const entries = await segment.read(ordinal, segment.count, CHUNK_BYTES)
    for (const entry of entries) {
      if (entry === null) return false
      if (entry.keysBytes > 0 && !(await hasKeys(segment, entry.keysAt, entry.keysBytes))) return false
    }
    ordinal += entries.length
  }
  return true
}

async function hasKeys(segment: Segment, at: number, length: number): Promise<boolean> {
  if (at + length > segment.keysUsed) return false
  const bytes = await readAll(await segment.keyFile(), at, length)
  return bytes.length === length && areKeys(bytes)
}

async function cutBatch(segment: Segment, batchFirst: number, broken: Broken[]): Promise<void> {
  const end = await segment.endOf(batchFirst)
  segment.cut(batchFirst, end)
  while (broken.length > 0 && broken.at(-1)!.at >= end) broken.pop()
}

/** Keeps what is broken under a name that says which positions it had; the segment itself stays as it is. */
async function moveAside(files: Files, folder: string, segment: Segment, broken: readonly Broken[]): Promise<void> {
  const aside = `${folder}/broken`
  await files.makeFolder(aside)
  await files.syncFolder(folder)
  const there = new Set(await files.list(aside))
  for (const { at, end } of broken) {
    const name = `${segmentName(segment.first)}.${at}-${end}`
    if (there.has(name)) continue
    await replaceFile(files, aside, name, await readAll(segment.file, at, end - at))
  }
}

/** Where segments begin, in order; files that are none are none of ours. */
export async function findSegments(files: Files, folder: string): Promise<number[]> {
  const names = await files.list(segmentFolder(folder))
  const firsts = names.flatMap((name) => (/^[0-9a-f]{16}\.seg$/.test(name) ? [Number.parseInt(name, 16)] : []))
  return firsts.sort((a, b) => a - b)
}
