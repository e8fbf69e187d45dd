import { systemClock } from '@keelson/kernel'
import type {
  Checkpoint,
  CursorClaim,
  Delta,
  EntryKey,
  Head,
  HoldRow,
  Row,
  SealedRow,
  Search,
  StoreStatus,
  TileRef,
} from '../store.ts'
import type { Files } from '@keelson/kernel/files'
import { createAppender } from './appender.ts'
import { openCheckpoints } from './checkpoints.ts'
import { openCursors } from './cursors.ts'
import { openDeadLetters, type DeadLetters } from './dead-letters.ts'
import type { StoredEntry } from './entry-frame.ts'
import { FRAME } from './frame.ts'
import { FIRST_STATE, headOf, indexBelow, positionOf, withSkips, type HeadState } from './head-state.ts'
import { createIdTable } from './id-table.ts'
import { idBytes, msOfId, readId } from './ids.ts'
import { findEntry, openJournal, type JournalOptions } from './journal.ts'
import { readLeaf, writeLeaf } from './leaf-record.ts'
import { isMatch, needlesOf } from './matching.ts'
import { openRecordFile } from './record-file.ts'
import { checkDelta, readWaiting, rowOf } from './sealing.ts'
import { segmentFolder } from './segment.ts'
import { openStateFile } from './state-file.ts'
import { openTiles } from './tiles.ts'

/** Of one read of entries. */
const READ_BYTES = 4 << 20
/** More than an entry with all that belongs to it. */
const FIRST_READ_BYTES = 70_000
/** More than an entry of the log about itself. */
const OWN_BYTES = 4096
const HASH_BYTES = 32
/** Leaves of one step of a search. */
const SEARCH_STEP = 4096

/** What the logs of a folder share. */
export interface LogOptions extends JournalOptions {
  readonly timeoutMs: number
  /** What was begun before stays as it is. */
  readonly readOnly: boolean
  /** How many bytes more there may be. */
  room(): number
  failure(error: unknown): Error
}

/** A person's keys that are being destroyed: those of entries below this position. */
interface Erasure {
  readonly scope: string
  readonly ref: string
  readonly below: number
}

/**
 * Opens a log that another process may be writing to. What that drops meanwhile would look as if it were missing: then it
 * is opened again.
 */
export async function openQuiet(files: Files, folder: string, o: LogOptions): Promise<FileLog> {
  for (;;) {
    const before = await keptBy(files, folder)
    const log = await openLog(files, folder, o).catch((error: unknown) => ({ error }))
    const isSame = (await keptBy(files, folder)) === before
    if ('error' in log) {
      if (isSame) throw log.error
    } else if (isSame) return log
    else await log.close()
  }
}

async function keptBy(files: Files, folder: string): Promise<number> {
  return (await openStateFile<HeadState>(files, folder, 'head', FIRST_STATE)).value.kept
}

/** One log in a folder of its own: `AuditStore` without the log's name. */
export interface FileLog {
  readonly bytes: number
  append(rows: readonly Row[]): Promise<void>
  seal(max: number, fold: (rows: readonly Row[], head: Head) => Delta): Promise<number | 'busy'>
  mark(): string
  isSealed(mark: string): boolean
  head(): Head & { readonly pruned: number }
  publish(checkpoint: Checkpoint): Promise<void>
  checkpoints(q: { readonly from: number; readonly limit: number } | { readonly last: true }): Promise<Checkpoint[]>
  read(from: number, bounds: { readonly entries: number; readonly bytes: number }): Promise<SealedRow[]>
  find(id: string): Promise<SealedRow | null>
  search(q: Search): Promise<SealedRow[]>
  tiles(refs: readonly TileRef[]): Promise<(Uint8Array | null)[]>
  claim(sink: string, owner: string, ttlMs: number): Promise<CursorClaim | null>
  advance(sink: string, fence: number, to: number, ttlMs: number, state?: string | null): Promise<boolean>
  release(sink: string, fence: number): void
  readonly deadLetters: DeadLetters
  keys(entries: readonly string[]): Promise<EntryKey[]>
  destroyKeys(scope: string, ref: string): Promise<number>
  prunable(beforeMs: number): number
  prune(upTo: number): Promise<number>
  hold(hold: HoldRow): Promise<void>
  unhold(id: string): Promise<boolean>
  holds(): readonly HoldRow[]
  drain(max: number, move: (rows: readonly Row[]) => Promise<void>): Promise<number>
  waiting(): Promise<{ readonly entries: number; readonly oldestMs: number | null }>
  inspect(): Promise<StoreStatus>
  /** Resolves when the disk has done what it was asked before. */
  idle(): Promise<void>
  close(): Promise<void>
}

/** Opens a log, or makes one, and repairs what a crash has left. */
export async function openLog(files: Files, folder: string, o: LogOptions): Promise<FileLog> {
  await files.makeFolder(folder)
  // Before the head: whoever only reads a log at work must see none that is ahead of it.
  const checkpoints = await openCheckpoints(files, folder)
  const state = await openStateFile<HeadState>(files, folder, 'head', FIRST_STATE)
  const { size, pruned, kept, position, closed } = state.value
  const journal = await openJournal(files, folder, o, kept, Math.max(position, closed))
  // Ids of entries whose bytes were dropped, by index.
  const dropped = createIdTable()
  // Indexes of entries whose bytes are broken, by id: few, or the disk is dying.
  const broken = new Map<string, number>()
  const isBroken = journal.segments.some(({ lost }) => lost > 0)
  const leaves = await openRecordFile(files, folder, 'leaves', FRAME.leaf, size, (index, record) => {
    if (index >= pruned) {
      if (isBroken && isLost(index)) broken.set(readId(record, 0), index)
      return
    }
    while (dropped.count < index) dropped.skip()
    dropped.add(record, 0)
  })
  const tiles = await openTiles(files, folder)
  const cursors = await openCursors(files, folder)
  const deadLetters = await openDeadLetters(files, folder)
  const holds = await openStateFile<readonly HoldRow[]>(files, folder, 'holds', [])
  const erasures = await openStateFile<readonly Erasure[]>(files, folder, 'erasures', [])
  if (!o.readOnly) for (const erasure of erasures.value) await erase(erasure)

  const appender = createAppender(journal, {
    ...o,
    mayBeDropped: (id) => dropped.candidates(id, 0).length > 0 || broken.has(readId(Buffer.from(id), 0)),
    wasDropped: async (id) => ((await findDropped(id)) ?? (await findBroken(id))) !== undefined,
  })
  let taking: Promise<unknown> | undefined

  async function erase(erasure: Erasure): Promise<void> {
    const { scope, ref, below } = erasure
    for (const segment of journal.segments) await segment.destroyKeys(scope, ref, below - segment.first, false)
    // Files that were replaced by an attempt before, perhaps.
    await files.syncFolder(segmentFolder(folder))
    await erasures.update((all) => all.filter((one) => one.scope !== scope || one.ref !== ref || one.below !== below))
  }

  /** Only one takes the oldest entries at a time. */
  async function taken<T, O>(fn: () => Promise<T>, otherwise: O): Promise<T | O> {
    if (taking !== undefined) return otherwise
    const mine = fn()
    taking = mine
    try {
      return await mine
    } finally {
      taking = undefined
    }
  }

  async function seal(max: number, fold: (rows: readonly Row[], head: Head) => Delta): Promise<number> {
    // No tree has what the disk has not.
    await journal.sync()
    // Nor may the disk have a head whose leaves are written anew.
    await state.settled()
    const from = state.value
    const { entries, lost, upTo } = await readWaiting(journal, from.position, max)
    if (upTo === from.position) return 0
    const rows = entries.map(({ entry }) => rowOf(entry))
    const before = headOf(from)
    const delta = rows.length === 0 ? { leaves: [], tiles: [], head: before } : fold(rows, before)
    checkDelta(delta, before, rows)
    const [count] = await Promise.all([
      leaves.append(delta.leaves.map(writeLeaf)),
      tiles.append(delta.tiles, before, delta.head),
    ])
    // Until here nothing has happened.
    await state.update((last) => ({
      ...last,
      size: delta.head.size,
      frontier: Buffer.from(delta.head.frontier).toString('base64'),
      position: upTo,
      skips: withSkips(last.skips, lost),
    }))
    count()
    return rows.length
  }

  async function drain(max: number, move: (rows: readonly Row[]) => Promise<void>): Promise<number> {
    const { position: from } = state.value
    const { entries, upTo } = await readWaiting(journal, from, max)
    const rows: Row[] = []
    for (const { entry, position } of entries) rows.push({ ...rowOf(entry), keys: await keysAt(position, entry) })
    if (rows.length > 0) await move(rows)
    if (upTo > from) await forget(from, upTo)
    return rows.length
  }

  async function forget(from: number, upTo: number): Promise<void> {
    const positions = Array.from({ length: upTo - from }, (_, i) => from + i)
    await state.update((last) => ({
      ...last,
      position: upTo,
      skips: withSkips(last.skips, positions),
      // Of a log that is sealed as well only `prune` drops bytes.
      kept: last.size > last.pruned ? last.kept : keptBelow(upTo),
    }))
    await appender.alone(() => journal.drop(state.value.kept))
  }

  /** Where the first segment begins that has anything at or behind this position. */
  function keptBelow(position: number): number {
    return journal.at(position)?.first ?? position
  }

  async function keysAt(position: number, entry: StoredEntry): Promise<EntryKey[]> {
    const keys = (await journal.at(position)?.keysOf(entry)) ?? []
    return keys.filter(
      ({ scope, ref }) => !erasures.value.some((one) => one.scope === scope && one.ref === ref && position < one.below),
    )
  }

  async function destroyKeys(scope: string, ref: string): Promise<number> {
    // Those that failed before: nobody may be told that there are none while a crash could bring them back.
    for (const erasure of erasures.value) await erase(erasure)
    const below = journal.end
    let count = 0
    for (const segment of journal.segments) count += await segment.destroyKeys(scope, ref, below - segment.first, true)
    if (count === 0) return 0
    const erasure = { scope, ref, below }
    // From here on they are gone: a crash leaves this word, and the next start goes on.
    await erasures.update((all) => [...all, erasure])
    await erase(erasure)
    return count
  }

  function prunable(beforeMs: number): number {
    const { position, pruned } = state.value
    const cursor = Math.min(...Object.values(cursors.value).map(({ at }) => at))
    let upTo = pruned
    // What tells of the dropping is written before it: where that goes cannot go itself.
    const isGrowing = o.room() >= OWN_BYTES && journal.grows(OWN_BYTES)
    for (const { first, count, newestMs } of isGrowing ? journal.segments.slice(0, -1) : journal.segments) {
      const index = indexBelow(state.value, first + count)
      if (newestMs >= beforeMs || first + count > position || index > cursor) break
      upTo = index
    }
    return upTo
  }

  async function prune(upTo: number): Promise<number> {
    const { position, pruned } = state.value
    const whole = journal.segments
      .map(({ first, count }) => first + count)
      .filter((end) => end <= position && indexBelow(state.value, end) <= upTo)
    const kept = whole.at(-1)
    if (kept === undefined) return 0
    const below = indexBelow(state.value, kept)
    for (const [i, record] of (await leaves.read(pruned, below)).entries()) {
      while (dropped.count < pruned + i) dropped.skip()
      if (record === null) dropped.skip()
      else dropped.add(record, 0)
    }
    await state.update((last) => ({ ...last, pruned: below, kept }))
    await journal.drop(kept)
    return below - pruned
  }

  async function findDropped(id: string): Promise<SealedRow | undefined> {
    for (const index of dropped.candidates(idBytes(id), 0)) {
      const [record = null] = await leaves.read(index, index + 1)
      if (record !== null && readId(record, 0) === id) return { leaf: readLeaf(index, record), bytes: null }
    }
    return undefined
  }

  function isLost(index: number): boolean {
    const position = positionOf(state.value, index)
    const segment = journal.at(position)
    return segment?.isLost(position - segment.first) === true
  }

  /** A sealed one that cannot be read is known by its leaf: to say that there is none would be wrong. */
  async function findBroken(id: string): Promise<SealedRow | undefined> {
    const known = broken.get(id)
    const indexes = known === undefined ? [] : [known]
    for (const { first, ids } of journal.segments) {
      const positions = ids.candidates(idBytes(id), 0).map((ordinal) => first + ordinal)
      for (const at of positions) if (at < state.value.position) indexes.push(indexBelow(state.value, at))
    }
    for (const index of indexes) {
      const [record = null] = await leaves.read(index, index + 1)
      if (record !== null && readId(record, 0) === id) return { leaf: readLeaf(index, record), bytes: null }
    }
    return undefined
  }

  async function find(id: string): Promise<SealedRow | null> {
    const found = await findEntry(journal, id)
    if (found === undefined) return (await findDropped(id)) ?? (await findBroken(id)) ?? null
    if (found.position >= state.value.position) return null
    const index = indexBelow(state.value, found.position)
    const [record = null] = await leaves.read(index, index + 1)
    return { leaf: readLeaf(index, record), bytes: found.entry.bytes }
  }

  /** Bytes of sealed entries, null where they are not kept; at least one. */
  async function readBytes(from: number, to: number, maxBytes: number): Promise<(Uint8Array | null)[]> {
    const { pruned, skips } = state.value
    const found: (Uint8Array | null)[] = Array.from({ length: Math.min(to, pruned) - from }, () => null)
    let bytes = 0
    while (from + found.length < to) {
      const index = from + found.length
      const position = positionOf(state.value, index)
      // Positions go on as indexes do up to the next that has none.
      const skip = skips.find(([at]) => at > position)?.[0] ?? Infinity
      const room = Math.min(READ_BYTES, maxBytes - bytes + FIRST_READ_BYTES)
      for (const entry of await journal.read(position, Math.min(position + to - index, skip), room)) {
        bytes += entry?.bytes.length ?? 0
        if (found.length > 0 && bytes > maxBytes) return found
        found.push(entry?.bytes ?? null)
      }
    }
    return found
  }

  async function read(
    from: number,
    bounds: { readonly entries: number; readonly bytes: number },
  ): Promise<SealedRow[]> {
    const to = Math.min(state.value.size, from + bounds.entries)
    if (from >= to) return []
    const bytes = await readBytes(from, to, bounds.bytes)
    const records = await leaves.read(from, from + bytes.length)
    return bytes.map((bytes, i) => ({ leaf: readLeaf(from + i, records[i] ?? null), bytes }))
  }

  async function search(q: Search): Promise<SealedRow[]> {
    const { size } = state.value
    const needles = needlesOf(q)
    const found: SealedRow[] = []
    const isUp = q.order === 'asc'
    const begin = isUp ? (q.after ?? -1) + 1 : 0
    const end = isUp ? size : Math.min(size, q.after ?? size)
    for (let done = 0; done < end - begin && found.length < q.limit; done += SEARCH_STEP) {
      const from = isUp ? begin + done : Math.max(begin, end - done - SEARCH_STEP)
      const to = isUp ? Math.min(end, from + SEARCH_STEP) : end - done
      const records = await leaves.read(from, to, needles)
      const leavesOfStep = records.flatMap((record, i) => {
        if (record === null || !needles.every((needle) => record.includes(needle))) return []
        const leaf = readLeaf(from + i, record)
        return isMatch(leaf, q) ? [leaf] : []
      })
      if (!isUp) leavesOfStep.reverse()
      for (const leaf of leavesOfStep.slice(0, q.limit - found.length)) {
        const [bytes = null] = await readBytes(leaf.index, leaf.index + 1, 0)
        found.push({ leaf, bytes })
      }
    }
    return found
  }

  async function waiting(): Promise<{ entries: number; oldestMs: number | null }> {
    const { position } = state.value
    const entries = journal.end - position
    if (entries === 0) return { entries, oldestMs: null }
    const [oldest] = await journal.read(position, position + 1, 0)
    const madeMs = oldest == null ? systemClock.now() : msOfId(idBytes(oldest.id), 0)
    return { entries, oldestMs: Math.max(0, systemClock.now() - madeMs) }
  }

  const bytes = (): number => journal.bytes + leaves.bytes + checkpoints.bytes + state.value.size * HASH_BYTES

  return {
    get bytes() {
      return bytes()
    },
    append: appender.append,
    seal: (max, fold) => taken<number, 'busy'>(() => seal(max, fold), 'busy'),
    mark: () => String(journal.end),
    isSealed: (mark) => state.value.position >= Number(mark),
    head: () => ({ ...headOf(state.value), pruned: state.value.pruned }),
    publish: checkpoints.publish,
    async checkpoints(q) {
      if (!('last' in q)) return checkpoints.from(q.from, q.limit)
      return checkpoints.last === undefined ? [] : [checkpoints.last]
    },
    read,
    find,
    search,
    tiles: (refs) => Promise.all(refs.map((ref) => tiles.read(ref, state.value.size))),
    claim: cursors.claim,
    advance: cursors.advance,
    release: cursors.release,
    deadLetters,
    async keys(ids) {
      const keys: EntryKey[] = []
      for (const id of ids) {
        const found = await findEntry(journal, id)
        if (found !== undefined) keys.push(...(await keysAt(found.position, found.entry)))
      }
      return keys
    },
    async destroyKeys(scope, ref) {
      // What is on its way out of here has its keys with it: once it has arrived, they are the other store's to destroy.
      for (let under = taking; under !== undefined; under = taking) await under.catch(() => {})
      return taken(() => appender.alone(() => destroyKeys(scope, ref)), 0)
    },
    prunable,
    prune: (upTo) => appender.alone(() => prune(upTo)),
    hold: (hold) => holds.update((all) => [...all.filter(({ id }) => id !== hold.id), hold]),
    async unhold(id) {
      const has = holds.value.some((hold) => hold.id === id)
      if (has) await holds.update((all) => all.filter((hold) => hold.id !== id))
      return has
    },
    holds: () => holds.value,
    drain: (max, move) => taken<number, 0>(() => drain(max, move), 0),
    waiting,
    async inspect() {
      const { entries, oldestMs } = await waiting()
      const at = Object.entries(cursors.value).map(([sink, cursor]) => [sink, cursor.at] as const)
      return {
        unsealed: entries,
        oldestUnsealedMs: oldestMs,
        bytes: bytes(),
        size: state.value.size,
        cursors: Object.fromEntries(at),
      }
    },
    idle: () => appender.alone(async () => {}),
    async close() {
      try {
        await appender.alone(async () => {
          await journal.sync()
          // What is broken from now on was whole.
          const { end } = journal
          await state.update((last) => (last.closed === end ? last : { ...last, closed: end }))
        })
      } finally {
        for (const file of [journal, leaves, tiles, checkpoints]) await file.close()
      }
    },
  }
}
