import type { Clock } from '@keelson/kernel'
import { AuditError } from './error.ts'
import { createMemoryDead } from './memory/dead.ts'
import { matches } from './memory/matches.ts'
import { checkMemoryOptions } from './options.ts'
import type {
  AuditStore,
  Checkpoint,
  DeadRows,
  EntryKey,
  Head,
  HoldRow,
  Leaf,
  Row,
  SealedRow,
  TileRef,
} from './store.ts'
import { timeOf } from './time-of.ts'

interface Cursor {
  at: number
  fence: number
  owner: string
  endsMs: number
  state: string | null
}

interface Log {
  /** In the order of their `append`; those behind `leaves.length` are not sealed. */
  readonly rows: (Row | undefined)[]
  readonly leaves: Leaf[]
  readonly byId: Map<string, number>
  readonly tiles: Map<string, Uint8Array>
  head: Head
  pruned: number
  readonly checkpoints: Checkpoint[]
  readonly cursors: Map<string, Cursor>
  readonly dead: DeadRows
  readonly keys: Map<string, EntryKey[]>
  readonly holds: Map<string, HoldRow>
}

/** The journal in this process: nothing survives it. It is the model of the others. */
export function memoryStore(o: { readonly clock?: Clock } = {}): AuditStore {
  const { clock } = checkMemoryOptions(o)
  const logs = new Map<string, Log>()

  function logOf(name: string): Log {
    let log = logs.get(name)
    if (log === undefined) {
      log = {
        rows: [],
        leaves: [],
        byId: new Map(),
        tiles: new Map(),
        head: { size: 0, frontier: new Uint8Array() },
        pruned: 0,
        checkpoints: [],
        cursors: new Map(),
        dead: createMemoryDead(),
        keys: new Map(),
        holds: new Map(),
      }
      logs.set(name, log)
    }
    return log
  }

  const sealedRow = (log: Log, leaf: Leaf): SealedRow => ({ leaf, bytes: log.rows[leaf.index]?.bytes ?? null })

  return {
    kind: 'memory',
    durability: 'memory',
    transactional: false,

    async append(name, rows, tx) {
      if (tx !== undefined) throw notTransactional()
      const log = logOf(name)
      const fresh = new Map<string, Row>()
      for (const row of rows) {
        const at = log.byId.get(row.id)
        const known = fresh.get(row.id) ?? (at === undefined ? undefined : log.rows[at])
        if (known === undefined && at === undefined) fresh.set(row.id, row)
        else if (known !== undefined && !Buffer.from(known.bytes).equals(row.bytes)) throw otherBytes(row.id)
      }
      for (const row of fresh.values()) {
        log.byId.set(row.id, log.rows.length)
        log.rows.push({ ...row, bytes: Uint8Array.from(row.bytes) })
        if (row.keys.length > 0) {
          log.keys.set(
            row.id,
            row.keys.map((key) => ({ ...key, wrapped: Uint8Array.from(key.wrapped), entry: row.id })),
          )
        }
      }
    },

    async seal(name, max, fold) {
      const log = logOf(name)
      const { size } = log.head
      const rows = log.rows.slice(size, size + max) as Row[]
      if (rows.length === 0) return 0
      const { leaves, tiles, head } = fold(rows, log.head)
      for (const { level, index, offset, hashes } of tiles) {
        const before = log.tiles.get(`${level}/${index}`) ?? new Uint8Array()
        if (before.length !== offset * 32) throw new AuditError('STORE_CORRUPT', `tile ${level}/${index} has moved`)
        log.tiles.set(`${level}/${index}`, Buffer.concat([before, hashes]))
      }
      log.leaves.push(...leaves)
      log.head = head
      return rows.length
    },
    mark: async (name) => String(logOf(name).rows.length),
    isSealed: async (name, mark) => logOf(name).head.size >= Number(mark),

    async head(name) {
      const { head, pruned } = logOf(name)
      return { ...head, pruned }
    },
    async publish(name, checkpoint) {
      const { checkpoints } = logOf(name)
      const at = checkpoints.findIndex(({ size }) => size >= checkpoint.size)
      if (at === -1) checkpoints.push(checkpoint)
      else checkpoints.splice(at, checkpoints[at]!.size === checkpoint.size ? 1 : 0, checkpoint)
    },
    async checkpoints(name, q) {
      const { checkpoints } = logOf(name)
      if ('last' in q) return checkpoints.slice(-1)
      return checkpoints.filter(({ size }) => size >= q.from).slice(0, q.limit)
    },

    async read(name, from, bounds) {
      const log = logOf(name)
      const found: SealedRow[] = []
      let bytes = 0
      for (const leaf of log.leaves.slice(from, from + bounds.entries)) {
        const row = sealedRow(log, leaf)
        bytes += row.bytes?.length ?? 0
        if (bytes > bounds.bytes && found.length > 0) break
        found.push(row)
      }
      return found
    },
    async find(name, id) {
      const log = logOf(name)
      const leaf = log.leaves[log.byId.get(id) ?? -1]
      return leaf === undefined ? null : sealedRow(log, leaf)
    },
    async search(name, q) {
      const log = logOf(name)
      const { after, order, limit } = q
      const leaves = order === 'asc' ? log.leaves : log.leaves.toReversed()
      const isBehind = (index: number): boolean =>
        after === undefined || (order === 'asc' ? index > after : index < after)
      return leaves
        .filter((leaf) => isBehind(leaf.index) && matches(leaf, q))
        .slice(0, limit)
        .map((leaf) => sealedRow(log, leaf))
    },
    tiles: async (name, refs: readonly TileRef[]) =>
      refs.map(({ level, index }) => logOf(name).tiles.get(`${level}/${index}`) ?? null),

    async claim(name, sink, owner, ttlMs) {
      const { cursors } = logOf(name)
      const nowMs = clock.monotonic()
      const held = cursors.get(sink) ?? { at: 0, fence: 0, owner: '', endsMs: -Infinity, state: null }
      if (held.owner !== owner && held.endsMs > nowMs) return null
      cursors.set(sink, { ...held, fence: held.fence + 1, owner, endsMs: nowMs + ttlMs })
      return { fence: held.fence + 1, at: held.at, state: held.state }
    },
    async advance(name, sink, fence, to, ttlMs, state) {
      const cursor = logOf(name).cursors.get(sink)
      if (cursor === undefined || cursor.fence !== fence || to < cursor.at) return false
      cursor.at = to
      cursor.endsMs = clock.monotonic() + ttlMs
      if (state !== undefined) cursor.state = state
      return true
    },
    async release(name, sink, fence) {
      const cursor = logOf(name).cursors.get(sink)
      if (cursor?.fence === fence) cursor.endsMs = -Infinity
    },

    deadLetters: {
      bury: async (name, rows) => logOf(name).dead.bury(name, rows),
      list: async (name, q) => logOf(name).dead.list(name, q),
      unbury: async (name, q) => logOf(name).dead.unbury(name, q),
      remove: async (name, q) => logOf(name).dead.remove(name, q),
      count: async (name) => logOf(name).dead.count(name),
    },

    keys: async (name, entries) => entries.flatMap((entry) => logOf(name).keys.get(entry) ?? []),
    async destroyKeys(name, scope, ref) {
      const { keys } = logOf(name)
      let destroyed = 0
      for (const [entry, all] of keys) {
        const kept = all.filter((key) => key.scope !== scope || key.ref !== ref)
        destroyed += all.length - kept.length
        for (const key of all) if (!kept.includes(key)) key.wrapped.fill(0)
        if (kept.length === 0) keys.delete(entry)
        else keys.set(entry, kept)
      }
      return destroyed
    },

    async prunable(name, beforeMs) {
      const log = logOf(name)
      const lowest = Math.min(log.head.size, ...[...log.cursors.values()].map(({ at }) => at))
      let upTo = log.pruned
      while (upTo < lowest && timeOf(log.leaves[upTo]!.id) < beforeMs) upTo++
      return upTo
    },
    async prune(name, upTo) {
      const log = logOf(name)
      const from = log.pruned
      for (let index = from; index < upTo; index++) log.rows[index] = undefined
      log.pruned = Math.max(from, upTo)
      return log.pruned - from
    },
    async hold(name, hold) {
      logOf(name).holds.set(hold.id, hold)
    },
    unhold: async (name, id) => logOf(name).holds.delete(id),
    holds: async (name) => [...logOf(name).holds.values()],

    async inspect(name) {
      const log = logOf(name)
      const oldest = log.rows[log.head.size]
      return {
        unsealed: log.rows.length - log.head.size,
        oldestUnsealedMs: oldest === undefined ? null : Math.max(0, clock.now() - timeOf(oldest.id)),
        bytes: log.rows.reduce((sum, row) => sum + (row?.bytes.length ?? 0), 0),
        size: log.head.size,
        cursors: Object.fromEntries([...log.cursors].map(([sink, { at }]) => [sink, at])),
      }
    },
    health: async () => {},
    close: async () => {},
  }
}

function otherBytes(id: string): AuditError {
  return new AuditError('ENTRY_INVALID', `an entry '${id}' with other bytes is in the log`)
}

function notTransactional(): AuditError {
  return new AuditError('STORE_NOT_TRANSACTIONAL', 'record: a memory store knows no transactions')
}
