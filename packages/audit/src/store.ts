import type { Statement, Tx } from '@keelson/kernel'

/*
 * Words. Row: an entry as it is made durable, its bytes written once. Log: an ordered list of entries with one tree.
 * Seal: give rows their indexes, dense from 0, and put their hashes into the tree; what is sealed is never changed. Leaf:
 * what is known of a sealed entry beside its bytes. Tile: up to 256 hashes of one level of the tree (C2SP tlog-tiles,
 * height 8), which only grows. Head: how big the tree is, and what is needed to append to it. Cursor: the index up to
 * which a sink has everything. Dead letter: an entry that a sink refused for good. Ref: the pseudonym of a person within
 * one scope. Prune: drop the bytes of old entries; leaves and tiles stay. Mark: all that was durable at one moment.
 *
 * Each method is one atomic step. Indexes and sizes are numbers of entries, instants are ms since the epoch.
 */

/** What an acknowledgement of `append` is worth: lost with the process, with the machine's power, never. */
export type Durability = 'memory' | 'os' | 'fsync' | 'tx'

/** An entry on its way into a log. */
export interface Row {
  /** UUIDv7, lower case. */
  readonly id: string
  /** What is stored, hashed and shipped. At most 65,535. */
  readonly bytes: Uint8Array
  /** Kept in the same step as the bytes; empty for most. */
  readonly keys: readonly WrappedKey[]
}

/** The key of one person's values in one entry, itself encrypted. */
export interface WrappedKey {
  readonly scope: string
  readonly ref: string
  readonly wrapped: Uint8Array
}

/** A key with the entry that it opens. */
export interface EntryKey extends WrappedKey {
  readonly entry: string
}

/** What entries are found by; read from their bytes when they are sealed. */
export interface Facts {
  readonly atMs: number
  readonly scope: string
  readonly actorType: string | null
  readonly actorId: string | null
  readonly action: string
  readonly targetType: string | null
  readonly targetId: string | null
  readonly outcome: 'success' | 'failure' | 'unknown'
  readonly correlationId: string | null
  /** Of the persons whose values it has. */
  readonly refs: readonly string[]
}

/** A sealed entry without its bytes. */
export interface Leaf extends Facts {
  readonly index: number
  readonly id: string
}

/** A sealed entry. */
export interface SealedRow {
  readonly leaf: Leaf
  /** Null: pruned, or missing, which only `verify` can tell apart. */
  readonly bytes: Uint8Array | null
}

/** The right edge of a tree. */
export interface Head {
  readonly size: number
  /** Roots of the complete subtrees from left to right, one for each bit that is set in `size`: 32 bytes each. */
  readonly frontier: Uint8Array
}

/** Where a tile stands: `index` counts tiles of its level. */
export interface TileRef {
  readonly level: number
  readonly index: number
}

/** Hashes that are appended to a tile. */
export interface TileAppend extends TileRef {
  /** How many hashes the tile has before. */
  readonly offset: number
  /** 32 bytes each. */
  readonly hashes: Uint8Array
}

/** What sealing adds to a log. */
export interface Delta {
  readonly leaves: readonly Leaf[]
  readonly tiles: readonly TileAppend[]
  readonly head: Head
}

/** A signed statement of a tree's size and root. */
export interface Checkpoint {
  readonly size: number
  readonly note: string
}

/** Which sealed entries are looked for; what is absent does not matter. */
export interface Search {
  /** Null: all scopes. */
  readonly scope: string | null
  readonly actor?: { readonly type: string; readonly id?: string }
  readonly action?: string
  /** Actions that begin so: 'user.' */
  readonly actionPrefix?: string
  readonly target?: { readonly type: string; readonly id?: string }
  readonly ref?: string
  readonly outcome?: Facts['outcome']
  readonly correlationId?: string
  /** From then on. */
  readonly fromMs?: number
  /** Before then. */
  readonly toMs?: number
  /** By index. */
  readonly order: 'asc' | 'desc'
  /** Only entries behind this index, in that order. */
  readonly after?: number
  readonly limit: number
}

/** A sink's place in a log, held by one owner until its lease ends. */
export interface CursorClaim {
  /** Grows with each claim. */
  readonly fence: number
  /** The first index that the sink has not. */
  readonly at: number
  /** What the sink itself kept with the cursor. */
  readonly state: string | null
}

/** An entry that a sink refused for good. */
export interface DeadRow {
  readonly sink: string
  readonly index: number
  readonly id: string
  readonly reason: string
  readonly atMs: number
}

/** Dead letters of a log; one is known by its sink and index. */
export interface DeadRows {
  /** A known one keeps its place and gets the new reason. */
  bury(log: string, rows: readonly DeadRow[]): Promise<void>
  /** By sink and index; `after` is the last one of the page before. `again`: only those that wait for their replay. */
  list(
    log: string,
    q: {
      readonly sink?: string
      readonly again?: boolean
      readonly after?: { readonly sink: string; readonly index: number }
      readonly limit: number
    },
  ): Promise<readonly (DeadRow & { readonly again: boolean })[]>
  /** Lets them wait for their replay: those of one sink, these ids, or all. Answers how many began to wait. */
  unbury(log: string, q: { readonly sink?: string; readonly ids?: readonly string[] }): Promise<number>
  /** They are done with. */
  remove(log: string, q: { readonly sink?: string; readonly ids: readonly string[] }): Promise<number>
  /** By sink. */
  count(log: string): Promise<Readonly<Record<string, number>>>
}

/** A legal hold: of this scope nothing is erased or pruned. */
export interface HoldRow {
  readonly id: string
  readonly scope: string
  readonly reason: string
  readonly atMs: number
}

/** How a store is, for one log. */
export interface StoreStatus {
  /** Durable entries that are not sealed. */
  readonly unsealed: number
  /** Age of the oldest of them, by its id. */
  readonly oldestUnsealedMs: number | null
  /** On disk, as far as it is known cheaply. */
  readonly bytes: number
  readonly size: number
  readonly cursors: Readonly<Record<string, number>>
}

/** A journal. */
export interface AuditStore {
  readonly kind: string
  /** What `append` answers. */
  readonly durability: Durability
  /** How long one call may take, instead of `storeTimeout`: a busy disk is no outage. */
  readonly timeoutMs?: number
  /** Its rows can be written by the caller's transaction. */
  readonly transactional: boolean
  /**
   * Resolves when all rows are durable, or none is. A known id with the same bytes is done already; with others it
   * rejects with AuditError ENTRY_INVALID. With `tx` they are durable when that commits.
   */
  append(log: string, rows: readonly Row[], tx?: Tx): Promise<void>
  /** The same as statements of a transaction; transactional stores only. At most 5,000 rows or 8 MiB at a time. */
  statements?(log: string, rows: readonly Row[]): readonly Statement[]
  /**
   * Seals up to `max` rows in the order in which they became durable, never passing one by that is still on its way.
   * `fold` is pure and may be called again. Answers how many were sealed: fewer than `max` when nothing is left;
   * 'busy' while another node seals.
   */
  seal(log: string, max: number, fold: (rows: readonly Row[], head: Head) => Delta): Promise<number | 'busy'>
  /** All that is durable now. */
  mark(log: string): Promise<string>
  /** Everything of that mark is sealed. */
  isSealed(log: string, mark: string): Promise<boolean>
  /** `pruned`: the first index whose bytes were not dropped. */
  head(log: string): Promise<Head & { readonly pruned: number }>
  publish(log: string, checkpoint: Checkpoint): Promise<void>
  /** Growing by size; the last one alone with `last`. */
  checkpoints(
    log: string,
    q: { readonly from: number; readonly limit: number } | { readonly last: true },
  ): Promise<readonly Checkpoint[]>
  /** From an index on: dense, as many as both bounds allow, at least one if there is one. Beyond the head: none, unless somebody forged them. */
  read(
    log: string,
    from: number,
    bounds: { readonly entries: number; readonly bytes: number },
  ): Promise<readonly SealedRow[]>
  find(log: string, id: string): Promise<SealedRow | null>
  search(log: string, q: Search): Promise<readonly SealedRow[]>
  /** Null where there is no such tile. */
  tiles(log: string, refs: readonly TileRef[]): Promise<readonly (Uint8Array | null)[]>
  /** Takes a sink's cursor for `ttlMs`, or lengthens the owner's own lease; null while somebody else has it. A new one stands at 0. */
  claim(log: string, sink: string, owner: string, ttlMs: number): Promise<CursorClaim | null>
  /** Moves the cursor if the fence is the last one given; never back. Lengthens the lease. */
  advance(log: string, sink: string, fence: number, to: number, ttlMs: number, state?: string | null): Promise<boolean>
  /** Ends a lease early. */
  release(log: string, sink: string, fence: number): Promise<void>
  readonly deadLetters: DeadRows
  /** Those that exist still, of these entries. */
  keys(log: string, entries: readonly string[]): Promise<readonly EntryKey[]>
  /** Without them the values of that person in this scope are noise. Answers how many there were. */
  destroyKeys(log: string, scope: string, ref: string): Promise<number>
  /** Up to where bytes could be dropped: whole segments or partitions of entries that are older, below all cursors. */
  prunable(log: string, beforeMs: number): Promise<number>
  /** Drops the bytes below that index. Answers how many entries. */
  prune(log: string, upTo: number): Promise<number>
  hold(log: string, hold: HoldRow): Promise<void>
  /** False: there is no such hold. */
  unhold(log: string, id: string): Promise<boolean>
  holds(log: string): Promise<readonly HoldRow[]>
  /**
   * For a spool: hands its oldest rows to `move` and forgets them when that resolves. Answers how many were moved.
   * `count` and `oldestMs` of what waits come with `waiting`.
   */
  drain?(log: string, max: number, move: (rows: readonly Row[]) => Promise<void>): Promise<number>
  waiting?(log: string): Promise<{ readonly entries: number; readonly oldestMs: number | null }>
  inspect(log: string): Promise<StoreStatus>
  /** Resolves when the store answers. */
  health(): Promise<void>
  close(): Promise<void>
}
