import type { Statement, Tx } from '@keelson/kernel'
import type { Json } from './json.ts'
import type { RecordState } from './record.ts'
import type { Stamp } from './stamp.ts'
import type { Op, OpCode } from './wire.ts'

/*
 * Words. Record: what is known by (scope, collection, id). Tombstone: a record that is gone, kept so that devices hear of
 * it and nothing older revives it. Version: each write of a record, known by the transaction that made it. Snapshot: which
 * transactions can be seen at one moment; the text of a store's own. Floor: the snapshot up to which a device has
 * everything. Target: the snapshot up to which its pull goes. Horizon: tombstones of versions below it are gone. Era: one
 * history of the store; a restored backup or another server begins a new one, in which old snapshots mean nothing.
 *
 * All times are the store's, in ms since 1970. Scopes, collections and ids have the order of their bytes in UTF-8.
 */

/** What names a record. */
export interface RecordKey {
  readonly scope: string
  readonly c: string
  readonly id: string
}

/** Why a record is gone. */
export type Gone = 'deleted' | 'scope' | 'erased'

/** A record as it is kept; `gone` exactly if it is a tombstone. */
export interface StoredRecord extends RecordKey {
  readonly state: RecordState
  readonly gone?: Gone
}

/** Between which rows a page ends; the text of a store's own. Rows are ordered by version, collection, id and scope. */
export type Place = string

/** What a device asks for. */
export interface PullQuery {
  /** What it may see. `isKnown`: up to `floor` it has this scope; of another it has nothing. At least one, none twice. */
  readonly scopes: readonly { readonly name: string; readonly isKnown: boolean }[]
  /** Null: all. */
  readonly collections: readonly string[] | null
  /** Null: it has nothing. */
  readonly floor: string | null
  /** Of its first page, for the pages behind it. */
  readonly target?: string
  /** Of the last row of the page before. */
  readonly after?: Place
  readonly limit: number
}

/** A version for a device. Of what the device never had no tombstone is told. */
export interface PulledRow extends StoredRecord {
  /** The record came to be behind the floor, or its scope is new to the device: a hint. */
  readonly isNew: boolean
  readonly place: Place
}

/** A page of them; or why there is none, and the device has to start over. */
export type Pulled =
  | {
      readonly kind: 'page'
      readonly rows: readonly PulledRow[]
      /** Of this page and those behind it; the floor of the pull after the last one. */
      readonly target: string
      readonly more: boolean
      readonly nowMs: number
    }
  /** Tombstones behind this floor are gone. */
  | { readonly kind: 'expired' }
  /** The floor, or the target, is of another history. */
  | { readonly kind: 'other-era' }

/** A device as it is kept. */
export interface ClientRow {
  readonly client: string
  /** Who it belongs to: the id of a principal. */
  readonly principal: string
  /** The highest stamp that it gave an operation, by its own clock; and that an operation of it has here. */
  readonly top?: Stamp
  readonly topHere?: Stamp
  readonly pushed: number
  /** What is to be added to its clock, at its last push; in ms. */
  readonly offsetMs: number
  readonly pushedAtMs: number | null
  readonly pulledAtMs: number | null
}

/** A final result, by client and operation. */
export interface ResultRow {
  readonly op: string
  /** Digest of its content: tells a repeat from another operation of the same id. */
  readonly fp: string
  /** What it came to, as text; it has no values of records. Where it is JSON with `rec`, the record is told again. */
  readonly result: string
}

/** 'superseded': fields with `notify` lost. */
export type ConflictCode =
  | Extract<OpCode, 'stale-base' | 'gone' | 'expired' | 'invariant' | 'scope-lost'>
  | 'superseded'

/** An edit that came to nothing, kept until somebody decides. */
export interface ConflictRow {
  readonly id: string
  readonly scope: string
  readonly c: string
  readonly record: string
  readonly code: ConflictCode
  readonly op: Op
  /** The document as the edit met it; null: there was none. */
  readonly current: { readonly [field: string]: Json } | null
  readonly principal: string
  readonly client: string
  readonly atMs: number
  readonly status: 'open' | 'resolved'
}

/** What a push will touch. Nothing twice. */
export interface PushQuery {
  readonly client: string
  readonly keys: readonly RecordKey[]
  readonly ops: readonly string[]
}

/** What is there, and stays so until the push ends. */
export interface PushState {
  readonly nowMs: number
  readonly client: ClientRow | undefined
  /** Of these operations, by id. */
  readonly results: ReadonlyMap<string, ResultRow>
  /** Of these keys; a store may read none where all `ops` have results of which none has a member `rec`. */
  readonly records: readonly StoredRecord[]
  /** Somebody else writes them and did not end in time: they may not be written. */
  readonly busy: readonly RecordKey[]
}

/** What a push writes, all at once. */
export interface PushWrites {
  readonly client: Omit<ClientRow, 'pulledAtMs' | 'pushedAtMs'>
  readonly results: readonly ResultRow[]
  readonly records: readonly StoredRecord[]
  readonly conflicts: readonly Omit<ConflictRow, 'status'>[]
  /** Conflicts that are resolved by it. */
  readonly resolved: readonly string[]
  /** Of persons, as digests, by the place of their record in `records`. */
  readonly subjects: ReadonlyMap<number, string>
  /** The same of all whom values of a conflict are about, by its id. Whom its record was about the store knows itself. */
  readonly conflictSubjects: ReadonlyMap<string, readonly string[]>
  /** Of effects; only where `tx` was given to the work. */
  readonly statements: readonly Statement[]
  readonly correlationId?: string
}

/** A push that is under way. */
export interface Pushing {
  readonly state: PushState
  /** Absent in a store without transactions of the application. */
  readonly tx?: Tx
  /** What `fn` wrote is taken back when it rejects, with which this rejects too; the push goes on. */
  attempt<T>(fn: () => Promise<T>): Promise<T>
}

/** A write of the server's own. */
export interface ServerChange extends RecordKey {
  /** 'move': to another scope. A put makes the record where it is missing, a patch does nothing then. */
  readonly t: 'put' | 'patch' | 'delete' | 'move'
  readonly set: Readonly<Record<string, Json>>
  readonly unset: readonly string[]
  readonly to?: string
  /** Of the person it is about, as a digest. */
  readonly subject?: string
}

/** Where records are. Each method is one atomic step, timed by the store's clock. */
export interface SyncStore {
  readonly kind: string
  /** Pushes run the application's SQL in their own transaction. */
  readonly transactional: boolean

  /**
   * One statement: rows and snapshot of one moment.
   * @throws SyncError CURSOR_INVALID for a floor, target or place that it did not make, REPLICA_READ on a replica,
   * PULL_IN_WRITING_TX where the same transaction has written
   */
  pull(q: PullQuery): Promise<Pulled>

  /**
   * Reads and locks what a push will touch, lets `work` decide, and writes what it answers with it, or nothing when it
   * rejects. `work` may run again from the start, after all was taken back. With `tx` everything is part of it.
   */
  push<T>(
    q: PushQuery,
    work: (pushing: Pushing) => Promise<{ readonly writes: PushWrites; readonly value: T }>,
    o?: { readonly tx?: Tx },
  ): Promise<T>

  /**
   * Writes that win over what they meet: their stamps come after all of the record. Answers the stamps; null for what
   * changed nothing. All or nothing.
   * @param node of this process
   */
  change(changes: readonly ServerChange[], node: string, o?: { readonly tx?: Tx }): Promise<readonly (Stamp | null)[]>
  /** The same as statements of the caller's transaction. */
  changeStatements?(changes: readonly ServerChange[], node: string): readonly Statement[]

  /** Which of these scopes have versions behind a snapshot; without one only the snapshot of now. */
  changed(
    since: string | null,
    scopes: readonly string[],
  ): Promise<{ readonly scopes: readonly string[]; readonly token: string }>

  client(client: string): Promise<ClientRow | undefined>
  /** Notes that it pulled. Of a client that is not known it keeps the principal. */
  pulled(client: string, principal: string): Promise<void>

  /** By id, which grows with time. */
  conflicts(q: {
    readonly scopes: readonly string[]
    readonly status: 'open' | 'resolved'
    readonly after?: string
    readonly limit: number
  }): Promise<readonly ConflictRow[]>
  conflict(id: string): Promise<ConflictRow | undefined>
  openConflicts(client: string): Promise<number>

  /**
   * Erases values of records for good: tombstones with why 'erased' remain, without registers; their conflicts, and what
   * results tell of them, go too; of a person also the conflicts of records that never came to be, or are about somebody
   * else now. Answers also which devices wrote there.
   */
  forget(
    q: { readonly scope: string } & (
      | { readonly c: string; readonly id: string }
      | { readonly subject: string }
      | object
    ),
    node: string,
  ): Promise<{ readonly records: number; readonly clients: readonly string[] }>
  /** Live records about a person, a page at a time. */
  ofSubject(
    scope: string,
    subject: string,
    after: RecordKey | undefined,
    limit: number,
  ): Promise<readonly StoredRecord[]>

  /** Removes up to `batch` tombstones and results that are older. The horizon moves before anything goes. */
  gc(o: { readonly tombstonesMs: number; readonly opsMs: number; readonly batch: number }): Promise<{
    readonly tombstones: number
    readonly ops: number
  }>
  /** Begins a new era: every device starts over. Answers its number. */
  rebase(): Promise<number>

  /** What the rows of operations know of a correlation id. */
  trace(
    correlationId: string,
  ): Promise<
    readonly { readonly atMs: number; readonly client: string; readonly op: string; readonly result: string }[]
  >
  inspect(): Promise<{
    readonly records: number
    readonly tombstones: number
    readonly ops: number
    readonly openConflicts: number
    readonly era: number
    /** Age of the last version whose tombstones are gone; null: none went. */
    readonly horizonAgeMs: number | null
  }>
  health(): Promise<void>
  close(): Promise<void>
}
