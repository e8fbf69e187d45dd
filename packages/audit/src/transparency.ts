import type { Logger } from '@keelson/kernel'
import type { Audit } from './audit.ts'
import { AuditError } from './error.ts'
import { checkId, checkMembers, inputFailure, shown } from './input.ts'
import { formatProof } from './note/proof.ts'
import type { AuditStore, Checkpoint } from './store.ts'
import { timeOf } from './time-of.ts'
import { formatBundle } from './tree/bundle.ts'
import { exportTree } from './tree/export-tree.ts'
import { rootOf } from './tree/head.ts'
import { consistencyProof, inclusionProof } from './tree/proofs.ts'
import { parseTilePath, type TilePath } from './tree/tile-path.ts'
import type { ReadTiles } from './tree/tile.ts'

/** What proves the log to others. */
export interface Transparency extends Pick<
  Audit,
  'checkpoint' | 'proof' | 'consistency' | 'verify' | 'tile' | 'exportTiles'
> {
  /** Of all that is sealed. */
  root(): Promise<Buffer>
}

/** What that needs. */
export interface TransparencyParts {
  readonly log: string
  readonly store: AuditStore
  ask<T>(fn: () => Promise<T>): Promise<T>
  work<T>(fn: () => Promise<T>): Promise<T>
  /** Texts of the keys that sign now. */
  keys(): Promise<readonly string[]>
  readonly clock: { now(): number }
  readonly logger: Logger
}

/** So much younger than what waits to be sealed it may be, and be among it: ids and ages are by two clocks. */
const MAY_WAIT_MS = 60_000
const BUNDLE = 256
const READ_BYTES = 16 * 1024 * 1024

export function createTransparency(o: TransparencyParts): Transparency {
  const { log, store, ask, work } = o
  const readTiles: ReadTiles = (refs) => work(() => store.tiles(log, refs))

  async function latest(): Promise<Checkpoint> {
    const [last] = await ask(() => store.checkpoints(log, { last: true }))
    if (last !== undefined) return last
    throw new AuditError('NOT_SEALED', 'nothing was sealed and signed yet', { retryAfter: 1_000 })
  }

  /** So many from an index on; null for one whose bytes were dropped. */
  async function kept(from: number, count: number): Promise<(Uint8Array | null)[]> {
    const found: (Uint8Array | null)[] = []
    while (found.length < count) {
      const at = from + found.length
      const rows = await work(() => store.read(log, at, { entries: count - found.length, bytes: READ_BYTES }))
      if (rows.length === 0) throw new AuditError('STORE_CORRUPT', `entry ${at} is missing`)
      found.push(...rows.map(({ bytes }) => bytes))
    }
    return found
  }

  async function bundle(from: number, count: number): Promise<Uint8Array> {
    const entries = await kept(from, count)
    const gone = entries.indexOf(null)
    if (gone !== -1) throw new AuditError('PRUNED', `entry ${from + gone} is not kept any more`)
    return formatBundle(entries as Uint8Array[])
  }

  /** Sealing may be behind, and a clock may jump. */
  async function mayWait(id: string): Promise<boolean> {
    const ageMs = o.clock.now() - timeOf(id)
    if (ageMs <= MAY_WAIT_MS) return true
    const { oldestUnsealedMs } = await ask(() => store.inspect(log))
    return oldestUnsealedMs !== null && ageMs <= oldestUnsealedMs + MAY_WAIT_MS
  }

  /** Of the tree of that size; undefined where it does not reach so far. */
  async function file({ level, index, width }: TilePath, size: number): Promise<Uint8Array | undefined> {
    if (level === 'entries') {
      const from = index * BUNDLE
      return from + width > size ? undefined : bundle(from, width)
    }
    if ((index * BUNDLE + width) * BUNDLE ** level > size) return undefined
    const [tile] = await readTiles([{ level, index }])
    return tile?.subarray(0, width * 32)
  }

  return {
    checkpoint: async () => (await latest()).note,

    async proof(id) {
      checkId('proof', id)
      const [row, { size, note }] = await Promise.all([ask(() => store.find(log, id)), latest()])
      if (row === null && !(await mayWait(id)) && (await ask(() => store.find(log, id))) === null) {
        throw new AuditError('NOT_FOUND', `proof: there is no entry '${id}'`)
      }
      if (row === null || row.leaf.index >= size) {
        throw new AuditError('NOT_SEALED', `proof: the entry '${id}' is not sealed and signed yet`, {
          retryAfter: 1_000,
        })
      }
      const { index } = row.leaf
      const hashes = await inclusionProof(index, size, readTiles)
      return formatProof({ index, hashes, checkpoint: note })
    },

    async consistency(oldSize, newSize) {
      const size = newSize ?? (await latest()).size
      const head = await ask(() => store.head(log))
      if (!Number.isSafeInteger(size) || size < 0 || size > head.size) {
        throw inputFailure(`consistency: "newSize" must be 0 to ${head.size}, what is sealed (got ${shown(newSize)})`)
      }
      if (!Number.isSafeInteger(oldSize) || oldSize < 0 || oldSize > size) {
        throw inputFailure(`consistency: "oldSize" must be 0 to ${size} (got ${shown(oldSize)})`)
      }
      const hashes = await consistencyProof(oldSize, size, readTiles)
      return hashes.map((hash) => Buffer.from(hash).toString('base64'))
    },

    async verify(how = {}) {
      const { keys, against = [] } = checkMembers('verify', how, ['keys', 'against'])
      for (const [name, texts] of [
        ['keys', keys ?? []],
        ['against', against],
      ] as const) {
        if (!Array.isArray(texts) || !texts.every((text) => typeof text === 'string')) {
          throw inputFailure(`verify: "${name}" must be an array of texts`)
        }
      }
      const { verifyLog } = await import('./verify-log.ts')
      return verifyLog({ ...o, readTiles, verifiers: keys, against })
    },

    async tile(path) {
      if (typeof path !== 'string') throw inputFailure(`tile: "path" must be a text (got ${shown(path)})`)
      const { size, note } = await latest()
      if (path === 'checkpoint') return Buffer.from(note)
      const parsed = parseTilePath(path)
      if (parsed === undefined) return undefined
      // What is full is final, and may be beyond what was signed last.
      return file(parsed, size)
    },

    async exportTiles(dir) {
      if (typeof dir !== 'string' || dir === '')
        throw inputFailure(`exportTiles: "dir" must be a path (got ${shown(dir)})`)
      const { note } = await latest()
      return exportTree(dir, { checkpoint: note, readTiles, readEntries: kept })
    },

    async root() {
      return Buffer.from(rootOf(await work(() => store.head(log))))
    },
  }
}
