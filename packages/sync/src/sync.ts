import type { Clock, Component, Duration, Effect, Logger, Status, Tx } from '@keelson/kernel'
import type { Caller, Collections } from './collections.ts'
import type { Json } from './json.ts'
import type { ConflictCode, SyncStore } from './store.ts'
import type { Op, PullRequest, PullResponse, PushRequest, PushResponse, Rec } from './wire.ts'

/** An edit that came to nothing, or to less than was meant, kept until somebody decides. */
export interface Conflict {
  readonly id: string
  readonly scope: string
  /** The tag of the scope, which is what devices know it by. */
  readonly s: string
  readonly c: string
  readonly record: string
  /** 'superseded': fields with `notify` lost. */
  readonly code: ConflictCode
  readonly op: Op
  /** The document as the edit met it; null: there was none. */
  readonly current: object | null
  /** Whose edit it was. */
  readonly principal: string
  readonly client: string
  readonly at: Date
}

/** Limits of what devices send and get. */
export interface SyncLimits {
  /** Default 500. */
  readonly opsPerPush?: number
  /** Of a push as JSON. Default 1,048,576. */
  readonly bodyBytes?: number
  /** Of a document in canonical JSON. Default 65,536. */
  readonly recordBytes?: number
  /** Default 1,000. */
  readonly pageRows?: number
  /** Older operations become conflicts 'expired'. Default '30d'. */
  readonly opAge?: Duration
  /** Pulls that wait, in this process. Default 10,000. */
  readonly waiters?: number
}

/** Tells other processes that scopes have changed: a hint, which may be lost. */
export interface Waker {
  wake(scopes: readonly string[]): void
  on(fn: (scopes: readonly string[]) => void): void
  close(): Promise<void>
}

/** What `createSync` takes. */
export interface SyncOptions<C extends Collections = Collections> {
  readonly store: SyncStore
  readonly collections: C
  /** What this caller may see, 1 to 1,000 scopes, the tenant first: the only authority, asked on every call. */
  scopes(who: Caller): readonly string[] | Promise<readonly string[]>
  /** In the transaction, once for each conflict that is stored; its effects commit too. */
  onConflict?(tx: Tx | undefined, conflict: Conflict): Promise<readonly Effect[] | void>
  readonly clock?: Clock
  /** How far ahead of ours a stamp may be. Default '60s'. */
  readonly maxDrift?: Duration
  readonly limits?: SyncLimits
  /** How long tombstones ('90d') and results ('45d', longer than `opAge`) are kept. */
  readonly retention?: { readonly tombstones?: Duration; readonly ops?: Duration }
  /** 32 bytes, raw or base64: signs cursors, and hides the names of scopes from who tries them out. */
  readonly cursorKey?: Uint8Array | string
  readonly waker?: Waker
  /** Default '250ms'. */
  readonly storeTimeout?: Duration
  readonly logger?: Logger
}

/** How far a device is. */
export interface SyncState {
  readonly client: string
  readonly principal: string
  readonly lastPushAt: Date | null
  readonly lastPullAt: Date | null
  /** Operations with a result. */
  readonly pushed: number
  /** What is to be added to its clock, in ms. */
  readonly offset: number
  readonly openConflicts: number
}

/** A write of the server's own. */
export type Change =
  | {
      readonly t: 'put' | 'patch'
      readonly id: string
      readonly set: { readonly [field: string]: Json }
      readonly unset?: readonly string[]
    }
  | { readonly t: 'delete'; readonly id: string }
  | { readonly t: 'move'; readonly id: string; readonly to: string }

/** A page, and where the next one begins. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next: string | null
}

/** How the component is. */
export interface SyncStatus extends Status {
  readonly era: number
  readonly horizonAgeMs: number | null
}

/** The server. */
export interface Sync<C extends Collections = Collections> extends Component {
  /**
   * Applies what a device did offline, each operation once. With `tx` all is part of it, or nothing.
   * @throws SyncError REQUEST_INVALID, VERSION_UNSUPPORTED, SCHEMA_CHANGED, BODY_TOO_LARGE, CLIENT_FOREIGN,
   * INPUT_INVALID, SCOPE_INVALID, STORE_UNAVAILABLE, CLOSED
   */
  push(
    who: Caller,
    request: PushRequest,
    o?: { readonly tx?: Tx; readonly collection?: keyof C & string },
  ): Promise<PushResponse>
  /** The same as `push`. */
  applyOperations(
    who: Caller,
    request: PushRequest,
    o?: { readonly tx?: Tx; readonly collection?: keyof C & string },
  ): Promise<PushResponse>
  /**
   * What is new for a device since its cursor, a page at a time.
   * @throws SyncError REQUEST_INVALID, VERSION_UNSUPPORTED, CURSOR_INVALID, CURSOR_EXPIRED, EPOCH_CHANGED,
   * SCHEMA_CHANGED, INPUT_INVALID, SCOPE_INVALID, LIMIT_REACHED, STORE_UNAVAILABLE, REPLICA_READ, PULL_IN_WRITING_TX, CLOSED
   */
  pull(
    who: Caller,
    request: PullRequest,
    o?: { readonly signal?: AbortSignal; readonly collection?: keyof C & string },
  ): Promise<PullResponse>
  /** The same as `pull`. */
  getDelta(
    who: Caller,
    request: PullRequest,
    o?: { readonly signal?: AbortSignal; readonly collection?: keyof C & string },
  ): Promise<PullResponse>
  /**
   * A write of the server's own that commits with the caller's rows: it wins over what it meets.
   * @throws SyncError INPUT_INVALID, SCOPE_INVALID, CLOSED
   */
  change(
    c: keyof C & string,
    change: Change,
    o: { readonly scope: string; readonly id?: string },
  ): Effect & { readonly kind: 'sync.change'; readonly id: string }
  /**
   * The same at once, at most 1,000: all or nothing. The stamps are in their order, '' for what changed nothing.
   * @throws SyncError INPUT_INVALID, SCOPE_INVALID, STORE_UNAVAILABLE, CLOSED
   */
  write(
    changes: readonly { readonly c: keyof C & string; readonly x: Change; readonly scope: string }[],
    o?: { readonly tx?: Tx },
  ): Promise<{ readonly stamps: readonly string[] }>
  readonly conflicts: {
    /** Those of the caller's scopes, the oldest first. `limit` 50, at most 1,000. @throws SyncError INPUT_INVALID, CURSOR_INVALID */
    list(
      who: Caller,
      q?: { readonly status?: 'open' | 'resolved'; readonly after?: string; readonly limit?: number },
    ): Promise<Page<Conflict>>
    /**
     * Decides: the edit counts after all, or not, or the record becomes `doc`. Repeatable.
     * @throws SyncError NOT_FOUND, INPUT_INVALID for what cannot be applied, STORE_UNAVAILABLE
     */
    resolve(
      who: Caller,
      id: string,
      decision: { readonly take: 'mine' | 'theirs' } | { readonly doc: object },
    ): Promise<Conflict>
  }
  /** How far a device of this caller is; undefined for another's, or none. */
  status(who: Caller, client: string): Promise<SyncState | undefined>
  /**
   * Erases records for good: one, or with `scope` alone all of it; devices hear 'erased'. Answers which devices wrote
   * there. @throws SyncError INPUT_INVALID, SCOPE_INVALID, STORE_UNAVAILABLE
   */
  forget(
    q: { readonly scope: string } | { readonly scope: string; readonly c: string; readonly id: string },
  ): Promise<{ readonly records: number; readonly clients: readonly string[] }>
  /** The same with the records about a person, by `subject` of their collections. */
  eraseSubject(
    scope: string,
    subject: string,
  ): Promise<{ readonly records: number; readonly clients: readonly string[] }>
  exportSubject(scope: string, subject: string): AsyncIterable<Rec & { readonly c: string }>
  /** Removes tombstones and results that are old enough, `batch` (1,000) at a time; also hourly once it is started. */
  gc(o?: { readonly batch?: number }): Promise<{ readonly tombstones: number; readonly ops: number }>
  /** After a restored backup: every device starts over, and keeps what it has not sent. */
  rebase(): Promise<{ readonly era: number }>
  inspect(): Promise<SyncStatus>
  trace(
    correlationId: string,
  ): Promise<readonly { readonly at: number; readonly kind: string; readonly text: string }[]>
  /** What a device may send at once: `limits.bodyBytes`. */
  readonly bodyBytes: number
  /** For a shutdown: pulls that wait are answered at once, from now on. Everything else goes on until `close()`. */
  drain(): void
  start(): Promise<void>
  stop(o?: { readonly drain?: Duration }): Promise<void>
  runOnce(o?: { readonly budget?: Duration }): Promise<{ readonly done: boolean }>
  close(): Promise<void>
}
