import type {
  Clock,
  Component,
  Duration,
  Effect,
  Logger,
  Principal,
  StandardSchemaV1,
  Status,
  Tx,
} from '@keelson/kernel'
import type { AuditStore, DeadRow, Durability } from './store.ts'
import type { Sink, SinkStatus } from './sink.ts'

/** What JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/** A value of a person: kept encrypted under a key of its own, which `eraseSubject` destroys. */
export interface Personal<T extends Json = Json> {
  readonly subject: string
  readonly value: T
  readonly [personalBrand]: true
}
declare const personalBrand: unique symbol

/** A text that may be a person's. */
export type Text = string | Personal<string>

/** One difference: where, as a JSON pointer (RFC 6901), and what was there and is there. */
export interface Change {
  readonly path: string
  /** Absent: nothing was there. */
  readonly old?: Json
  /** Absent: nothing is there. */
  readonly new?: Json
  /** It differs, but the values are not told: a secret, or too large. */
  readonly changed?: true
}

/** Who acts. */
export interface Actor {
  /** 'user', 'service', 'system', … */
  readonly type: string
  readonly id: string
  readonly name?: Text
  readonly roles?: readonly string[]
}

/** Who reads or erases; a principal without a type is a 'user'. */
export type By = Actor | Principal

/** What is acted upon. */
export interface Target {
  readonly type: string
  readonly id: string
  readonly name?: Text
}

/** From where it was done. */
export interface Where {
  readonly ip?: Text
  readonly userAgent?: Text
  readonly session?: string
  readonly requestId?: string
  readonly method?: string
  readonly route?: string
}

/** What somebody did. */
export interface EntryInput {
  /** The tenant: 1 to 128 bytes, not '*'. */
  readonly scope: string
  /** Segments joined by dots: 'user.role.update', at most 128. `audit.*` is what the log says of itself. */
  readonly action: string
  /** Default: the context's principal, of type 'user' if it has none. */
  readonly actor?: Actor
  readonly target?: Target
  /** Default 'success'. */
  readonly outcome?: 'success' | 'failure' | 'unknown'
  readonly reason?: Text
  readonly where?: Where
  /** Before and after: only their differences are kept; of what is created or removed, its members. */
  readonly old?: unknown
  readonly new?: unknown
  readonly data?: Readonly<Record<string, Json | Personal>>
  /** Default now. */
  readonly at?: Date | number | string
  /**
   * A UUIDv7: the same id with the same bytes counts once. Give `at` as well, or the bytes differ; with personal values
   * they differ each time, since nothing may lead back to a key that was destroyed.
   */
  readonly id?: string
}

/** That an entry was accepted. */
export interface Receipt {
  readonly id: string
  /** 'tx': it is durable when the transaction commits, and by then with `record` of its own. */
  readonly durability: Durability
  /** It waits in the spool until the store is back. */
  readonly spooled: boolean
  /** SHA-256(0x00 || bytes) in base64: what the tree will have. */
  readonly leaf: string
}

/** A sealed entry as it is read. */
export interface Entry {
  readonly id: string
  /** Its place in the log, from 0. */
  readonly index: number
  readonly scope: string
  readonly at: Date
  readonly action: string
  readonly outcome: 'success' | 'failure' | 'unknown'
  readonly actor: Actor
  readonly target?: Target
  readonly where?: Where
  readonly reason?: string
  readonly changes: readonly Change[]
  readonly data: Readonly<Record<string, Json>>
  readonly correlationId?: string
  /** JSON pointers into the document of values that are encrypted. */
  readonly sealed: readonly string[]
  /** Base64. */
  readonly leaf: string
  /** What was hashed. */
  readonly bytes: Uint8Array
}

/** Which entries; what is absent does not matter. */
export interface Query {
  /** '*' for all. */
  readonly scope: string
  readonly actor?: { readonly type: string; readonly id?: string }
  /** Exactly this one, or 'user.*' for all that begin so. */
  readonly action?: string
  readonly target?: { readonly type: string; readonly id?: string }
  /** A person whose values it has. */
  readonly subject?: string
  readonly outcome?: 'success' | 'failure' | 'unknown'
  /** From then on, and before then. */
  readonly from?: Date
  readonly to?: Date
  /** Default 'desc': the newest first, in the order of sealing. */
  readonly order?: 'desc' | 'asc'
  /** 1 to 1,000, default 100. */
  readonly limit?: number
  /** `next` of the page before, of the same query. */
  readonly after?: string
}

/** What `verify` found. */
export interface Verdict {
  /** Nothing is wrong; what nobody could witness is not counted. */
  readonly ok: boolean
  readonly size: number
  /** Base64. */
  readonly root: string
  readonly integrity: 'ok' | 'broken'
  /** 'unwitnessed': without a checkpoint that was kept elsewhere nobody can tell whether the end was cut off. */
  readonly completeness: 'ok' | 'broken' | 'unwitnessed'
  readonly coverage: { readonly gaps: number; readonly lost: number; readonly pruned: number }
  readonly problems: readonly Problem[]
}

/** What `verify` may find. */
export type ProblemCode =
  | 'ENTRY_ALTERED'
  | 'ENTRY_MISSING'
  | 'ENTRY_ADDED'
  | 'INDEX_ALTERED'
  | 'TILE_ALTERED'
  | 'CHECKPOINT_INVALID'
  | 'KEY_UNKNOWN'
  | 'TRUNCATED'
  | 'HISTORY_REWRITTEN'

/** One thing that is wrong with a log. */
export interface Problem {
  readonly code: ProblemCode
  readonly index?: number
  readonly id?: string
  readonly detail: string
}

/** One kind of actions. */
export interface ActionKind {
  /** ECS event.category and event.type. */
  readonly category?: readonly string[]
  readonly type?: readonly string[]
  /** Checks `data`, synchronously; what it answers is kept. */
  readonly data?: StandardSchemaV1
}

/** What is taken out of entries before their bytes exist, beside the built-in list. */
export interface RedactOptions {
  /** Names of members, in any case or separator; those that contain one are redacted. */
  readonly keys?: readonly string[]
  /** JSON pointers into the document; below `/audit/changes` by the names of what changed: `/audit/changes/address/street`. */
  readonly paths?: readonly string[]
  /** Card numbers; default true. */
  readonly pan?: boolean
}

/** What `createAudit` takes; durations as ms or '5s'. */
export interface AuditOptions {
  readonly store: AuditStore
  /** Takes entries while the store is away: a `fileStore`. */
  readonly spool?: AuditStore
  /**
   * Signing keys of checkpoints as `generateKey` made them, asked for at each checkpoint; all sign. Required unless the
   * store is in memory. A key's name is the log's origin.
   */
  readonly key?: string | readonly string[] | (() => readonly string[] | Promise<readonly string[]>)
  /** Default 'main'; one tree per log. */
  readonly log?: string
  readonly sinks?: readonly Sink[]
  /** A checkpoint is signed after so many entries (1,024) or so long ('1s'); a `heartbeat` entry ('1h') signs silence too. */
  readonly checkpoint?: { readonly every?: number; readonly interval?: Duration; readonly heartbeat?: Duration | false }
  /** Base64 of 32 bytes each: `secrets[0]` wraps the keys of persons, all unwrap; `pseudonym` names persons. */
  readonly privacy?: { readonly secrets: readonly string[]; readonly pseudonym: string }
  readonly redact?: RedactOptions
  readonly actions?: Readonly<Record<string, ActionKind>>
  /** Only actions of the catalogue. */
  readonly strict?: boolean
  /** Which readings are entries themselves; default 'exports'. */
  readonly auditReads?: 'none' | 'exports' | 'all'
  /** Default 'forever'. */
  readonly retention?: { readonly keep: Duration | 'forever' }
  readonly service?: { readonly name?: string; readonly version?: string; readonly instance?: string }
  readonly host?: string
  /** Of one entry, at most and by default 65,535. */
  readonly maxEntryBytes?: number
  /** Entries of `emit` that wait in memory; default 10,000. */
  readonly emitBuffer?: number
  /** Default '250ms'. */
  readonly storeTimeout?: Duration
  readonly clock?: Clock
  readonly logger?: Logger
}

/** An audit log of an application. */
export interface Audit extends Component {
  /**
   * An effect for transactions: the entry commits with them. Checks and serialises now, without I/O.
   * @throws AuditError ENTRY_INVALID, SCOPE_INVALID, ENTRY_TOO_LARGE, ACTION_UNKNOWN, PRIVACY_NOT_CONFIGURED
   */
  entry(entry: EntryInput): Effect & { readonly kind: 'audit.entry'; readonly id: string; readonly action: string }
  /** Resolves when it is durable: in the store, or in the spool while the store is away unless it is `required` there. */
  record(entry: EntryInput, o?: { readonly tx?: Tx; readonly required?: boolean }): Promise<Receipt>
  /** Never throws, never waits. What is lost is counted and becomes one entry 'audit.gap'. */
  emit(entry: EntryInput): void
  logModification(
    actor: Actor,
    target: Target & { readonly scope: string },
    action: string,
    old: unknown,
    now: unknown,
    more?: Partial<EntryInput>,
  ): Promise<Receipt>
  /** Sealed ones: an entry is seen about a second after it was accepted. */
  get(id: string): Promise<Entry | undefined>
  query(q: Query, by?: By): Promise<{ readonly entries: readonly Entry[]; readonly next?: string }>
  /** Lines of JSON: the documents as stored. */
  export(q: Query, o?: { readonly format?: 'jsonl'; readonly by?: By }): AsyncIterable<string>
  /** Resolves when all that was accepted before is sealed and signed, or also at every sink. @throws AuditError FLUSH_TIMEOUT */
  flush(o?: { readonly to?: 'sealed' | 'shipped'; readonly timeout?: Duration }): Promise<void>
  /** The newest checkpoint, a signed note (C2SP). */
  checkpoint(): Promise<string>
  /** That an entry is in the tree of the newest checkpoint: c2sp.org/tlog-proof@v1. */
  proof(id: string): Promise<string>
  /** Base64 hashes, RFC 6962; `newSize` is the newest checkpoint's. */
  consistency(oldSize: number, newSize?: number): Promise<string[]>
  /** Reads and hashes everything again; `against`: checkpoints that were kept elsewhere. Works without `start()`. */
  verify(o?: { readonly keys?: readonly string[]; readonly against?: readonly string[] }): Promise<Verdict>
  /** A file of the static tree by its path: 'checkpoint', 'tile/0/x001/234', 'tile/entries/000.p/5'. */
  tile(path: string): Promise<Uint8Array | undefined>
  /** The static tree (c2sp.org/tlog-tiles) with its entries; the checkpoint is written last. */
  exportTiles(dir: string): Promise<{ readonly size: number }>
  /** Entries with values of a person, which are opened. */
  exportSubject(scope: string, subject: string, o?: { readonly by?: By }): AsyncIterable<Entry>
  /** Destroys the keys of a person's values: entries and their proofs stay. @throws AuditError HELD */
  eraseSubject(
    scope: string,
    subject: string,
    o: { readonly reason: string; readonly by?: By },
  ): Promise<{ readonly entries: number; readonly keys: number; readonly unreached: readonly string[] }>
  /** Of this scope nothing is erased or pruned until the hold is released. Answers its id. */
  hold(h: { readonly scope: string; readonly reason: string }): Promise<string>
  release(id: string): Promise<void>
  /** Drops the bytes of entries that are older than `retention.keep`. */
  applyRetention(): Promise<{ readonly entries: number; readonly upTo: number }>
  readonly deadLetters: {
    list(o?: {
      readonly sink?: string
      readonly limit?: number
      readonly after?: string
    }): Promise<{ readonly items: readonly DeadRow[]; readonly next?: string }>
    /** Answers how many will be delivered again. */
    replay(o?: { readonly sink?: string; readonly ids?: readonly string[] }): Promise<number>
    discard(ids: readonly string[], reason: string): Promise<number>
  }
  /** One of the sinks. @throws AuditError NOT_FOUND */
  sink(name: string): { pause(): void; resume(): void; status(): SinkStatus }
  start(): Promise<void>
  stop(o?: { readonly drain?: Duration }): Promise<void>
  /** For short-lived processes: drains the spool, seals and ships once. */
  runOnce(o?: { readonly budget?: Duration }): Promise<{ readonly done: boolean }>
  inspect(): Promise<AuditStatus>
}

/** How an audit log is. */
export interface AuditStatus extends Status {
  readonly store: { readonly kind: string; readonly available: boolean; readonly bytes: number }
  /** Durable entries, sealed or not. */
  readonly durable: number
  readonly sealed: {
    readonly size: number
    /** Base64. */
    readonly root: string
    readonly lagMs: number
    readonly checkpointAt: number | null
  }
  readonly spool: { readonly entries: number; readonly oldestMs: number | null }
  readonly sinks: Readonly<Record<string, SinkStatus>>
  readonly dropped: number
  readonly gaps: number
}
