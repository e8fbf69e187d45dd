import { dirname } from 'node:path'
import type { Logger } from '@keelson/kernel'
import type { File, Files } from '@keelson/kernel/files'
import { AuditError } from '../error.ts'
import type { AuditStore, DeadRows } from '../store.ts'
import { storeFailure } from './failure.ts'
import { openLog, openQuiet, type FileLog } from './log.ts'

/** What a store on files is made of. */
export interface FileStoreParts {
  readonly files: Files
  readonly dir: string
  readonly durability: 'fsync' | 'os'
  readonly segmentBytes: number
  readonly maxBytes: number
  readonly timeoutMs: number
  /** The folder is another's: what is not there is not made. */
  readonly readOnly?: boolean
  readonly logger?: Logger
  /** Takes the folder; the answer gives it back. */
  lock(): Promise<() => Promise<void>>
}

/** The store over a file system: each log in a folder of its own, opened when it is first asked for. */
export function createFileStore(o: FileStoreParts): AuditStore {
  const { files, dir } = o
  const logs = new Map<string, Promise<FileLog>>()
  const opened = new Map<string, FileLog>()
  const running = new Set<Promise<unknown>>()
  let lock: Promise<() => Promise<void>> | undefined
  let closing: Promise<void> | undefined

  const failure = (error: unknown): Error => storeFailure(dir, error)
  function room(): number {
    let bytes = o.maxBytes
    for (const log of opened.values()) bytes -= log.bytes
    return bytes
  }

  function locked(): Promise<unknown> {
    if (lock === undefined) {
      lock = takeFolder()
      lock.catch(() => (lock = undefined))
    }
    return lock
  }
  async function takeFolder(): Promise<() => Promise<void>> {
    const unlock = await o.lock()
    try {
      await files.makeFolder(dir)
      await files.syncFolder(dirname(dir))
      return unlock
    } catch (error) {
      await unlock()
      throw error
    }
  }
  async function open(name: string): Promise<FileLog> {
    await locked()
    const fsync = o.durability === 'fsync'
    const { segmentBytes, timeoutMs, readOnly = false, logger } = o
    const folder = `${dir}/${folderOf(name)}`
    const parts = { fsync, segmentBytes, timeoutMs, readOnly, logger, room, failure }
    if (readOnly && (await files.list(folder)).length === 0) {
      throw new AuditError('NOT_FOUND', `there is no log '${name}' in ${dir}`)
    }
    const log = await allOrNone(files, async (files) => {
      const log = await (readOnly ? openQuiet : openLog)(files, folder, parts)
      // The folder of the log itself.
      await files.syncFolder(dir)
      return log
    })
    opened.set(name, log)
    return log
  }
  function logOf(name: string): Promise<FileLog> {
    const there = logs.get(name)
    if (there !== undefined) return there
    const log = open(name)
    logs.set(name, log)
    log.catch(() => logs.delete(name))
    return log
  }
  async function ask<T>(name: string, fn: (log: FileLog) => T | Promise<T>): Promise<T> {
    if (closing !== undefined) throw new AuditError('CLOSED', 'the store is closed')
    try {
      return await fn(opened.get(name) ?? (await logOf(name)))
    } catch (error) {
      throw failure(error)
    }
  }
  /** What changes something is waited for by `close`. */
  function change<T>(name: string, fn: (log: FileLog) => T | Promise<T>): Promise<T> {
    const changed = ask(name, fn)
    running.add(changed)
    const done = (): void => void running.delete(changed)
    changed.then(done, done)
    return changed
  }

  async function close(): Promise<void> {
    await Promise.allSettled(running)
    const closeLog = async (log: Promise<FileLog>): Promise<void> => (await log.catch(() => undefined))?.close()
    const closed = await Promise.allSettled(Array.from(logs.values(), closeLog))
    // Whatever became of its logs: who opens the folder next looks after them.
    const unlock = await lock?.catch(() => undefined)
    await unlock?.()
    for (const one of closed) if (one.status === 'rejected') throw failure(one.reason)
  }

  const deadLetters: DeadRows = {
    bury: (log, rows) => change(log, ({ deadLetters }) => deadLetters.bury(rows)),
    list: (log, q) => ask(log, ({ deadLetters }) => deadLetters.list(q)),
    unbury: (log, q) => change(log, ({ deadLetters }) => deadLetters.unbury(q)),
    remove: (log, q) => change(log, ({ deadLetters }) => deadLetters.remove(q)),
    count: (log) => ask(log, ({ deadLetters }) => deadLetters.count()),
  }

  return {
    kind: 'file',
    durability: o.durability,
    timeoutMs: o.timeoutMs,
    transactional: false,
    append(log, rows, tx) {
      if (tx !== undefined)
        return Promise.reject(new AuditError('STORE_NOT_TRANSACTIONAL', 'files take part in no transaction'))
      const open = opened.get(log)
      // The way of all entries: `close` waits for what was asked.
      if (open !== undefined && closing === undefined) return open.append(rows)
      return change(log, (open) => open.append(rows))
    },
    seal: (log, max, fold) => change(log, (open) => open.seal(max, fold)),
    mark: (log) => ask(log, (open) => open.mark()),
    isSealed: (log, mark) => ask(log, (open) => open.isSealed(mark)),
    head: (log) => ask(log, (open) => open.head()),
    publish: (log, checkpoint) => change(log, (open) => open.publish(checkpoint)),
    checkpoints: (log, q) => ask(log, (open) => open.checkpoints(q)),
    read: (log, from, bounds) => ask(log, (open) => open.read(from, bounds)),
    find: (log, id) => ask(log, (open) => open.find(id)),
    search: (log, q) => ask(log, (open) => open.search(q)),
    tiles: (log, refs) => ask(log, (open) => open.tiles(refs)),
    claim: (log, sink, owner, ttlMs) => change(log, (open) => open.claim(sink, owner, ttlMs)),
    advance: (log, sink, fence, to, ttlMs, state) => change(log, (open) => open.advance(sink, fence, to, ttlMs, state)),
    release: (log, sink, fence) => ask(log, (open) => open.release(sink, fence)),
    deadLetters,
    keys: (log, entries) => ask(log, (open) => open.keys(entries)),
    destroyKeys: (log, scope, ref) => change(log, (open) => open.destroyKeys(scope, ref)),
    prunable: (log, beforeMs) => ask(log, (open) => open.prunable(beforeMs)),
    prune: (log, upTo) => change(log, (open) => open.prune(upTo)),
    hold: (log, hold) => change(log, (open) => open.hold(hold)),
    unhold: (log, id) => change(log, (open) => open.unhold(id)),
    holds: (log) => ask(log, (open) => open.holds()),
    drain: (log, max, move) => change(log, (open) => open.drain(max, move)),
    waiting: (log) => ask(log, (open) => open.waiting()),
    inspect: (log) => ask(log, (open) => open.inspect()),
    async health() {
      try {
        await locked()
        for (const log of opened.values()) await log.idle()
        await files.list(dir)
        // Files that are open take entries although nobody will find them there again.
        await files.syncFolder(dir)
        for (const name of opened.keys()) await files.syncFolder(`${dir}/${folderOf(name)}`)
      } catch (error) {
        throw failure(error)
      }
    },
    close() {
      closing ??= close()
      return closing
    },
  }
}

/** When `open` fails, what it had opened until then is closed: a broken log is asked for again and again. */
async function allOrNone<T>(files: Files, open: (files: Files) => Promise<T>): Promise<T> {
  let held: Set<File> | undefined = new Set()
  const noting: Files = {
    ...files,
    async open(path, mode) {
      const file = await files.open(path, mode)
      held?.add(file)
      return file
    },
  }
  try {
    return await open(noting)
  } catch (error) {
    // Some are closed already, which is allowed twice.
    for (const file of held) await file.close().catch(() => {})
    throw error
  } finally {
    held = undefined
  }
}

/** Names of logs are texts: what a path could take for something else is written as its code. */
function folderOf(log: string): string {
  return encodeURIComponent(log).replace(/[.*'()!~]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)
}
