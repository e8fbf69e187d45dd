import { dirname } from 'node:path'
import { readAll, writeAll, type File, type Files } from '@keelson/kernel/files'
import type { ClientStore } from '../store.ts'
import { compact } from './compaction.ts'
import { createContents, type Contents } from './contents.ts'
import { storeFailure } from './failure.ts'
import { createLog, type Log } from './log.ts'
import { lineOf, readRecords } from './record.ts'

/** So much more than twice what is there makes a log too long. */
const SPARE_BYTES = 1 << 20

/** What a store on files is made of. */
export interface FileStoreParts {
  readonly files: Files
  readonly dir: string
  readonly spareBytes?: number
  /** Takes the folder; the answer gives it back. */
  lock(): Promise<() => Promise<void>>
}

interface Place {
  readonly contents: Contents
  readonly log: Log
  readonly unlock: () => Promise<void>
}

/** The store over a file system. What is there is in memory; the log says it again to the next one. */
export function createFileStore({ files, dir, lock, spareBytes = SPARE_BYTES }: FileStoreParts): ClientStore {
  const path = `${dir}/log`
  const calls = new Set<Promise<unknown>>()
  let opening: Promise<Place> | undefined
  let closing: Promise<void> | undefined
  let compacting: Promise<void> | undefined
  let isLongFrom = 0
  /** The log also has values that are not there any more. */
  let hasOld = false

  async function open(): Promise<Place> {
    const unlock = await lock()
    try {
      await files.makeFolder(dir)
      await files.syncFolder(dirname(dir))
      const contents = noting(createContents())
      const { file, end } = await openLog(contents)
      return { contents, unlock, log: createLog({ files, folder: dir, path, file, end }) }
    } catch (error) {
      await unlock()
      throw error
    }
  }

  /** Contents that know when a value takes the place of another. */
  function noting(contents: Contents): Contents {
    const put: Contents['put'] = (change, bytes) => {
      hasOld ||= contents.get(change[0]) !== undefined
      contents.put(change, bytes)
    }
    return {
      ...contents,
      put,
      get bytes() {
        return contents.bytes
      },
    }
  }

  /** What somebody had erased must not stay on the disk of who goes. Without room for a second log it does. */
  async function forgetOld(place: Place): Promise<void> {
    if (!hasOld || place.log.failure !== undefined) return
    await compact(files, `${path}.new`, place, () => false).catch(() => {})
  }

  /** What a crash has torn is cut off. What is broken otherwise stays as it is, for somebody to look at. */
  async function openLog(contents: Contents): Promise<{ file: File; end: number }> {
    const file = await oldOrNew(files, path)
    try {
      const bytes = await readAll(file, 0, await file.size())
      const { last, end, broken } = readRecords(bytes, contents.put)
      if (broken !== undefined) throw storeFailure(`${path} is broken at byte ${broken}: restore it, or remove it`)
      if (end < bytes.length) await file.truncate(end)
      // If its sync had failed, only memory may have the last one, and would say that the disk has it too.
      await writeAll(file, bytes.subarray(last, end), last)
      await file.datasync()
      // Also for a log that was put in its place just before a crash.
      await files.syncFolder(dir)
      return { file, end }
    } catch (error) {
      await file.close()
      throw error
    }
  }

  async function opened(): Promise<Place> {
    if (opening === undefined) {
      opening = open()
      opening.catch(() => (opening = undefined))
    }
    const place = await opening
    if (place.log.failure !== undefined) throw place.log.failure
    return place
  }

  /** What was asked before `close` is waited for. */
  function call<T>(work: (place: Place) => T | Promise<T>): Promise<T> {
    if (closing !== undefined) return Promise.reject(storeFailure(`the store in ${dir} is closed`))
    const called = opened().then(work)
    calls.add(called)
    const done = (): void => void calls.delete(called)
    called.then(done, done)
    return called
  }

  function compactIfLong(place: Place): void {
    const { contents, log } = place
    if (compacting !== undefined || log.end < Math.max(2 * contents.bytes + spareBytes, isLongFrom)) return
    compacting = compact(files, `${path}.new`, place, () => closing !== undefined || log.failure !== undefined)
      // The log is as good as before. Without room for a second one it goes on until there is some.
      .catch(() => void (isLongFrom = 2 * log.end))
      .finally(() => (compacting = undefined))
  }

  return {
    load: () => call(({ contents }) => contents.entries()),
    update: (keys, decide) =>
      call(async (place) => {
        const { contents, log } = place
        const changes = decide(keys.map(contents.get))
        // All of them, before the first one is made.
        const lines = changes.map(lineOf)
        for (const [i, change] of changes.entries()) contents.put(change, Buffer.byteLength(lines[i]!))
        await log.append(lines.join(''))
        compactIfLong(place)
      }),
    close() {
      closing ??= (async () => {
        await Promise.allSettled(calls)
        const place = await opening?.catch(() => undefined)
        await compacting
        if (place !== undefined) await forgetOld(place)
        await place?.log.close()
        await place?.unlock()
      })()
      return closing
    },
  }
}

async function oldOrNew(files: Files, path: string): Promise<File> {
  try {
    return await files.open(path, 'old')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return files.open(path, 'new')
  }
}
