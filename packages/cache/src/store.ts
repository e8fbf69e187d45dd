import type { Statement } from '@keelson/kernel'

/**
 * The port, and the glossary of its words.
 *
 * - **epoch**: an id of random bytes that is new each time a store creates its state for a name. What was stamped in
 *   another epoch is invalid.
 * - **clock**: moved by invalidations alone, inside of the store, and never back within an epoch.
 * - **stamp**: a moment of that clock; where there are members (`coherence: 'leased'`), `<epoch>:<decimal number>`. An entry carries the stamp of what was true *before* its load began; a tag that
 *   of its last invalidation.
 * - **the rule**: an entry is valid iff its epoch is the store's, its stamp is not below the floor, and no tag of it,
 *   explicit or implicit, was invalidated after its stamp. No clock of any node takes part.
 * - **lease**: of a miss: the right to fill, made of epoch, stamp and the store's time. Of a member: the right to serve
 *   from its own memory.
 */

/** One entry, as a store names it. */
export interface Ref {
  readonly scope: string
  /** Encoded: 1 to 512 bytes, any character. */
  readonly key: string
  /** The implicit tags, and those known before the load: they decide whether a held lock is taken over. */
  readonly declared: readonly string[]
}

/** The right to fill, as text that its store alone reads. */
export type Lease = string

/** What is stored. Exactly one of `body` and `value` is set; `value` only for a store in this process. */
export interface Entry {
  readonly body?: Uint8Array
  /** Frozen or copied by the cache: a store in this process keeps it as it is. */
  readonly value?: unknown
  /** Of `value`: what it takes as bytes. */
  readonly bytes?: number
  /** How `body` is read: 1 to 32 characters a-z, 0-9, '-', '+'. */
  readonly codec: string
  /** Implicit and explicit ones, at most 70. */
  readonly tags: readonly string[]
  /** Random, 1 to 16 characters of base64url: two fills of one stamp are two versions. */
  readonly fill: string
  /** From now on by the store's clock; afterwards the entry is stale. Over 0. */
  readonly ttlMs: number
  /** How long a stale entry is kept. 0: not at all. */
  readonly graceMs: number
  /** What its load took. */
  readonly loadMs: number
}

/** An entry as it was read. Times are differences, so that no clock of a node is compared with the store's. */
export interface Stored {
  /** Absent when it was not asked for, or where the store has `value`. */
  readonly body?: Uint8Array
  readonly value?: unknown
  readonly codec: string
  readonly tags: readonly string[]
  readonly stamp: string
  readonly fill: string
  readonly loadMs: number
  /** Since it was stored. */
  readonly ageMs: number
  /** Until it turns stale; 0 or less of a stale one. */
  readonly ttlMs: number
}

/** Valid and not stale. */
export interface Hit extends Stored {
  readonly kind: 'hit'
}

/** Nothing that may be served as fresh. */
export interface Miss {
  readonly kind: 'miss'
  readonly lease: Lease
  /** 'yours': load it. 'held': another load runs, here or elsewhere. 'none': no lock was asked for. */
  readonly lock: 'yours' | 'held' | 'none'
  /** An entry that is only stale: its time is over, or a tag was expired softly. Never one that was invalidated. */
  readonly stale?: Stored
}

/** How entries are asked for. */
export interface ReadOptions {
  /** How long a lock that a miss takes holds by itself; 0: take none. */
  readonly lockMs: number
  /** The lock's owner. */
  readonly node: string
  /** False: whether the entry is valid is all that is asked. */
  readonly body: boolean
  /** Treat a hit as a miss with that entry as `stale`: it is to be refreshed before its time. */
  readonly refresh?: boolean
}

/** One invalidation. */
export interface Bumped {
  /** Absent with `epoch`. */
  readonly scope?: string
  readonly tags: readonly string[]
  /** Entries turn stale instead of invalid. */
  readonly soft?: boolean
  /** Everything of the name: the store starts a new epoch. */
  readonly epoch?: boolean
}

/** What an invalidation came to. It is acknowledged once each of `peers` has acked it or its time is over. */
export interface Bump {
  readonly stamp: string
  /** Other members that held a lease at that moment, and how long they may still serve from memory. */
  readonly peers: readonly { readonly node: string; readonly leaseLeftMs: number }[]
  /** How long a member that the store has forgotten may still hold a lease: its registry was lost. 0 normally. */
  readonly unknownMs: number
}

/** An invalidation of another node. */
export interface BumpMessage {
  readonly stamp: string
  readonly from: string
  readonly list: readonly Bumped[]
}

/** What a member is told. Nothing of it may throw. */
export interface MemberEvents {
  bump(message: BumpMessage): void
  /** Somebody waits for this entry, and it was filled or its lock was released. */
  filled(scope: string, key: string): void
  /** `node` has applied all invalidations up to `stamp`. */
  ack(stamp: string, node: string): void
  /** Messages may have been missed from some moment before this call on. The member must join again. */
  lost(): void
}

/** A node that hears of invalidations. */
export interface Member {
  /**
   * Renews the lease in the store. Resolves when the renewal was heard *behind all messages before it*: a member whose
   * messages are late gets no lease. The caller counts its lease from before this call. Rejects when that is not known
   * to have happened.
   */
  renew(): Promise<{ readonly epoch: string }>
  /** Tells the author of an invalidation. Many of one tick are one message. Never rejects, never throws. */
  ack(message: BumpMessage): void
  /** Gives the lease back. */
  leave(): Promise<void>
}

/**
 * How a node's own memory stays true in front of this tier.
 * - 'leased': by `join`, its messages and its lease.
 * - 'validated': each read asks `read` without the body. `join`, if there is one, serves `coherence: 'bounded'` alone.
 * - 'exclusive': all invalidations go through this process.
 */
export type Coherence = 'leased' | 'validated' | 'exclusive'

/** A store of entries. */
export interface CacheStore {
  readonly kind: 'memory' | 'redis' | 'postgres'
  /**
   * Called by createCache. Nothing is sent before the tier's first call. `leaseMs`: what each member's lease takes, on
   * all nodes alike; a node that invalidates waits so long for members that the store has forgotten. Default: 10 s,
   * the most there is.
   */
  open(name: string, o: { readonly maxTtlMs: number; readonly maxLoadMs: number; readonly leaseMs?: number }): CacheTier
}

/**
 * The state of one name. Each method is one atomic step, timed by the store's clock, and one round trip. All of them
 * may be repeated: a reply may be lost.
 */
export interface CacheTier {
  readonly coherence: Coherence
  /** Validity and value of each, else lease and, if `lockMs` is not 0, lock. At most 1,000 refs. */
  read(refs: readonly Ref[], o: ReadOptions): Promise<readonly (Hit | Miss)[]>
  /**
   * Stores what was loaded under `lease`, unless the epoch is another, a tag moved past it, a newer entry is there, or
   * the lease is older than `maxLoadMs`. Releases the lock of `node` in any case, and wakes who waits. `stamp` is the
   * lease's. */
  fill(
    ref: Ref,
    lease: Lease,
    entry: Entry,
    node: string,
  ): Promise<{ readonly stored: boolean; readonly stamp: string }>
  /** Invalidates the key of `ref` and stores the entry with that stamp. */
  put(ref: Ref, entry: Entry, node: string): Promise<Bump>
  /** Invalidates; all of `list` have one stamp. `node`: the author, who is not told. */
  bump(list: readonly Bumped[], node: string): Promise<Bump>
  /** Ends the lock if it is this load's, and wakes who waits. */
  unlock(ref: Ref, lease: Lease, node: string): Promise<void>
  /** Renews locks that are still this load's. */
  extend(held: readonly { readonly ref: Ref; readonly lease: Lease }[], node: string, lockMs: number): Promise<void>
  /** Hears of invalidations, fills and acks from now on. Rejects when it cannot now. */
  join?(node: string, o: { readonly leaseMs: number; readonly on: MemberEvents }): Promise<Member>
  /** Deletes entries that are no longer valid, or all of a scope, in batches. Answers how many. */
  purge(scope?: string): Promise<number>
  /** Whether the store answers. */
  ping(): Promise<unknown>
  /** The epoch, where it exists. Creates nothing. */
  epoch(): Promise<string | undefined>
  close?(): Promise<void>
}

/** One tag that a committed transaction has made invalid, or will have. */
export interface DropRow {
  /** A UUID, made by the client. */
  readonly id: string
  /** Of the cache. */
  readonly name: string
  readonly scope: string
  readonly tag: string
  readonly operation: string
  /** Of the request that dropped it, for `trace`. */
  readonly correlationId?: string
}

/**
 * Invalidations that are rows of the business database: they commit with what makes them necessary, and what is still
 * there was not applied by its author.
 */
export interface DropLog {
  /** One INSERT for all rows, to be part of the caller's transaction. */
  statement(rows: readonly DropRow[]): Statement
  /**
   * Of a relay: rows that were committed more than `olderThanMs` ago are locked (those that another relay holds are
   * skipped), given to `apply`, and deleted once it resolved. When it rejects they stay, and this rejects with that.
   * Answers how many.
   */
  claim(
    name: string,
    o: { readonly olderThanMs: number; readonly limit: number },
    apply: (rows: readonly DropRow[]) => Promise<void>,
  ): Promise<number>
  /** All committed rows, or those of one operation, also those that a relay is applying now. */
  pending(name: string, o?: { readonly operation?: string; readonly limit?: number }): Promise<readonly DropRow[]>
  /** Deletes what was applied. */
  done(ids: readonly string[]): Promise<void>
  /** What a request has dropped and nobody has applied yet; `at` in ms of the wall clock. */
  trace?(
    name: string,
    correlationId: string,
  ): Promise<readonly { readonly at: number; readonly scope: string; readonly tag: string }[]>
  /** What waits. `oldestMs` 0 of nothing. */
  backlog(name: string): Promise<{ readonly rows: number; readonly oldestMs: number }>
  /** Between two turns of a relay, and the age from which a row belongs to nobody alive; 250 and 300 ms. */
  readonly pollMs: number
  readonly relayAfterMs: number
}
