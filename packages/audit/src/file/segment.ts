import { freshFile, readAll, replaceFile, type File, type Files } from '@keelson/kernel/files'
import { readEntry, type StoredEntry } from './entry-frame.ts'
import { FRAME, FRAME_HEAD, frameAt, frameBytes } from './frame.ts'
import { createIdTable, type IdTable } from './id-table.ts'
import { msOfId } from './ids.ts'
import { allKeys, wipeBetween, wipeKey } from './key-frame.ts'
import type { EntryKey } from '../store.ts'

/** Of an entry that is not there any more: it was broken. */
const LOST = 0xffff_ffff

/** One file of entries, and beside it the file of their keys. Its entries have positions from `first` on. */
export interface Segment {
  readonly first: number
  /** The next ordinal. */
  readonly count: number
  readonly lost: number
  /** Bytes of frames in it, and of keys. */
  readonly used: number
  readonly keysUsed: number
  /** When the oldest and the newest of its ids were made. */
  readonly oldestMs: number
  readonly newestMs: number
  /** Nothing may be written to it any more. */
  readonly isEnded: boolean
  readonly file: File
  /** The file of keys; it is made with the first of them. */
  keyFile(): Promise<File>
  readonly ids: IdTable
  /** There is a frame. */
  found(at: number, end: number, id: Uint8Array, idAt: number): void
  foundLost(): void
  cut(count: number, end: number): void
  setKeysUsed(bytes: number): void
  isLost(ordinal: number): boolean
  /** Where the frames below this ordinal end. */
  endOf(ordinal: number): Promise<number>
  /** Entries of these ordinals, null for those that are lost; fewer when they would have more than `maxBytes`, never none. */
  read(from: number, to: number, maxBytes: number): Promise<(StoredEntry | null)[]>
  keysOf(entry: StoredEntry): Promise<EntryKey[]>
  /** Of ordinals below `below`. Answers how many; with `dry` it only counts. */
  destroyKeys(scope: string, ref: string, below: number, dry: boolean): Promise<number>
  /** No more will come. */
  end(): void
  close(): Promise<void>
  /** Its files are gone; `instead`: another one has its name. */
  drop(instead?: boolean): Promise<void>
}

/** Where the files of segments are, and how they are called. */
export const segmentFolder = (folder: string): string => `${folder}/seg`
export const segmentName = (first: number): string => `${first.toString(16).padStart(16, '0')}.seg`
export const keysName = (first: number): string => `${first.toString(16).padStart(16, '0')}.keys`

/** A segment over its open files, without any entry yet. */
export function createSegment(files: Files, folder: string, first: number, file: File, keys?: File): Segment {
  const ids = createIdTable()
  let keyFile = keys
  let offsets = new Uint32Array(64)
  let used = 0
  let keysUsed = 0
  let lost = 0
  let dropped = false
  let isEnded = false
  let oldestMs = Infinity
  let newestMs = 0

  function push(offset: number): void {
    const ordinal = ids.count
    if (ordinal === offsets.length) {
      const more = new Uint32Array(Math.ceil(ordinal * 1.5))
      more.set(offsets)
      offsets = more
    }
    offsets[ordinal] = offset
  }
  const atOf = (ordinal: number): number => offsets[ordinal]! * 8
  /** Where the frames from this ordinal on begin. */
  function beginOf(ordinal: number): number {
    while (ordinal < ids.count && offsets[ordinal] === LOST) ordinal++
    return ordinal === ids.count ? used : atOf(ordinal)
  }

  const segment: Segment = {
    first,
    file,
    ids,
    get count() {
      return ids.count
    },
    get lost() {
      return lost
    },
    get used() {
      return used
    },
    get keysUsed() {
      return keysUsed
    },
    get isEnded() {
      return isEnded
    },
    get oldestMs() {
      return oldestMs
    },
    get newestMs() {
      return newestMs
    },
    async keyFile() {
      if (keyFile === undefined) {
        const made = await freshFile(files, `${segmentFolder(folder)}/${keysName(first)}`)
        await files.syncFolder(segmentFolder(folder))
        keyFile = made
      }
      return keyFile
    },
    found(at, end, id, idAt) {
      push(at / 8)
      ids.add(id, idAt)
      used = end
      const madeMs = msOfId(id, idAt)
      if (madeMs < oldestMs) oldestMs = madeMs
      if (madeMs > newestMs) newestMs = madeMs
    },
    foundLost() {
      push(LOST)
      ids.skip()
      lost++
    },
    cut(count, end) {
      for (let ordinal = count; ordinal < ids.count; ordinal++) if (offsets[ordinal] === LOST) lost--
      ids.cut(count)
      used = end
    },
    setKeysUsed(bytes) {
      keysUsed = bytes
    },
    async endOf(ordinal) {
      let before = ordinal - 1
      while (before >= 0 && offsets[before] === LOST) before--
      if (before < 0) return 0
      const head = await readAll(file, atOf(before), FRAME_HEAD)
      return atOf(before) + frameBytes(head.readUInt32LE(0))
    },
    isLost: (ordinal) => offsets[ordinal] === LOST,
    async read(from, to, maxBytes) {
      let end = from + 1
      const begin = beginOf(from)
      while (end < to && beginOf(end + 1) - begin <= maxBytes) end++
      let bytes: Buffer
      try {
        bytes = await readAll(file, begin, beginOf(end) - begin)
      } catch (error) {
        if (dropped) return Array.from({ length: end - from }, () => null)
        throw error
      }
      const entries: (StoredEntry | null)[] = []
      for (let ordinal = from; ordinal < end; ordinal++) {
        const frame = offsets[ordinal] === LOST ? 'broken' : frameAt(bytes, atOf(ordinal) - begin, FRAME.entry)
        const isIt = typeof frame !== 'string' && frame.ordinal === ordinal
        entries.push(isIt ? readEntry(bytes, frame) : null)
      }
      return entries
    },
    async keysOf(entry) {
      if (entry.keysBytes === 0 || keyFile === undefined) return []
      const bytes = await readAll(keyFile, entry.keysAt, entry.keysBytes)
      return allKeys(bytes).flatMap(({ key }) => (key?.entry === entry.id ? [key] : []))
    },
    async destroyKeys(scope, ref, below, dry) {
      if (keyFile === undefined) return 0
      const bytes = await readAll(keyFile, 0, keysUsed)
      const frames = allKeys(bytes)
      const doomed = frames.filter(
        ({ key, ordinal }) => key !== null && ordinal < below && key.scope === scope && key.ref === ref,
      )
      if (dry) return doomed.length
      // A write that failed may have left a part of a key, or all of it, where nothing counts.
      const hasRemains = wipeBetween(bytes, frames) || (await keyFile.size()) > keysUsed
      if (doomed.length === 0 && !hasRemains) return 0
      for (const frame of doomed) wipeKey(bytes, frame)
      // Until the new file is known to be there, a crash may bring back either: no more keys go into any of them.
      isEnded = true
      await replaceFile(files, segmentFolder(folder), keysName(first), bytes)
      const old = keyFile
      keyFile = await files.open(`${segmentFolder(folder)}/${keysName(first)}`, 'old')
      isEnded = false
      await old.close()
      return doomed.length
    },
    end() {
      offsets = offsets.slice(0, ids.count)
      ids.trim()
    },
    async close() {
      await file.close()
      await keyFile?.close()
    },
    async drop(instead = false) {
      dropped = true
      await segment.close()
      const path = segmentFolder(folder)
      // Keys first: an entry without its key is noise, a key without its entry is still a secret.
      if (keyFile !== undefined) await files.unlink(`${path}/${keysName(first)}`)
      if (!instead) await files.unlink(`${path}/${segmentName(first)}`)
    },
  }
  return segment
}
