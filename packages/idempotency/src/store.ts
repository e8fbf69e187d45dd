import type { Statement, Tx } from '@keelson/kernel'
import type { Fingerprint } from './fingerprint.ts'
import type { RefDigest } from './ref.ts'

/*
 * Words. Claim: the right to run an operation, won once per ref. Record: what a store keeps of a ref. Lease: how long a
 * claim lives without a renewal. Fence: a number that grows with each claim of a ref. Tombstone: a record whose answer
 * was not kept; the operation never runs again. Unknown: a record whose owner ended without saying how. Retain: how
 * long a record lives, from its completion.
 */

/** Where a run came from, kept with its record. */
export interface Trace {
  readonly correlationId?: string
  /** W3C Trace Context. */
  readonly traceparent?: string
}

/** What a caller brings to `begin`. */
export interface Claim {
  /** 16 bytes, new for each call: how a repeated `begin` recognises itself. As a UUID it is the operation id. */
  readonly nonce: Uint8Array
  readonly fingerprint?: Fingerprint
  readonly leaseMs: number
  readonly retainMs: number
  /** Whether a record whose owner lost its lease is taken over, or only reported. */
  readonly onLapsed: 'take' | 'report'
  readonly trace?: Trace
  readonly subject?: Uint8Array
  /** Kept for operators, where the store has room. */
  readonly scope?: string
  readonly op?: string
}

/** What proves a claim: both must be the record's. */
export interface Own {
  readonly nonce: Uint8Array
  readonly fence: bigint
}

/**
 * How a run ends: its answer, no answer, as if it had never been, nobody knows how, or by the end of its lease: the
 * next claim takes over, with what was saved.
 */
export type Settlement =
  | { readonly kind: 'done'; readonly bytes: Uint8Array }
  | { readonly kind: 'tombstone' | 'release' | 'unknown' | 'lapse' }

/** What a claim meets when it is not won. */
export type Held = { readonly kind: 'mismatch' } | (Match & { readonly fingerprintSkipped?: true })

/** With `fingerprintSkipped` only because the two fingerprints are of different algorithms. */
type Match =
  | {
      readonly kind: 'done'
      readonly bytes: Uint8Array
      readonly operationId: string
      readonly attempt: number
      readonly trace?: Trace
      /** Too few replicas have it: a failover may lose it. */
      readonly stored?: false
    }
  | { readonly kind: 'tombstone'; readonly operationId: string; readonly attempt: number }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'busy'; readonly leaseLeftMs: number }
  | { readonly kind: 'lapsed'; readonly attempt: number }

/** What `begin` answers. */
export type Begin =
  | {
      readonly kind: 'yours'
      readonly fence: bigint
      /** 1 for the first run of the ref. */
      readonly attempt: number
      /** What an earlier attempt saved last. */
      readonly checkpoint?: Uint8Array
    }
  | Held

/** A record without its answer. Durations by the store's clock. */
export interface RecordView {
  readonly state: 'inflight' | 'done' | 'tombstone' | 'unknown'
  readonly attempt: number
  /** Since the claim. */
  readonly ageMs: number
  /** Of a record in flight; 0 once its owner has lost it. */
  readonly leaseLeftMs?: number
  readonly expiresInMs: number
  /** Of the stored answer. */
  readonly bytes: number
  /** Of the run that holds or made it. */
  readonly operationId?: string
  /** Where the store keeps it. */
  readonly op?: string
}

/** A record of which nobody knows how it ended: unknown, or in flight with a lease that is over. */
export interface StuckRecord extends RecordView {
  readonly ref: RefDigest
  /** Where the store keeps it. */
  readonly scope?: string
}

/** A record as one correlation id is explained by it. */
export interface TracedRecord {
  readonly ref: RefDigest
  /** When it was claimed, by the store's clock. */
  readonly atMs: number
  readonly state: RecordView['state']
  readonly attempt: number
  readonly operationId: string
  /** Where the store keeps them. */
  readonly scope?: string
  readonly op?: string
  readonly bytes?: Uint8Array
}

/** How an operator ends a record: `forget` it, let it run again (`retry`), or give it an answer. */
export type Clearing = 'forget' | 'retry' | { readonly bytes: Uint8Array }

/** What a record holds of the person whom it speaks of. */
export interface SubjectRecord {
  readonly ref: RefDigest
  /** Of the claim, in ms of the store's wall clock. */
  readonly at: number
  /** Where the store keeps it. */
  readonly op?: string
  /** An answer, or what an unfinished run has saved. */
  readonly kind: 'answer' | 'checkpoint'
  readonly bytes: Uint8Array
}

/** How long a store may take that queues for connections itself; others are bounded from outside. */
export interface Limit {
  readonly answerMs: number
}

/**
 * Where records live. Each method is one atomic step, timed by the store's clock alone. `begin`, `settle` and `touch`
 * may be repeated with the same arguments after a lost reply. Methods reject when the store cannot serve; the core
 * bounds each call in time.
 */
export interface IdempotencyStore {
  /** True for a store that commits effects with the answer; such a one is a {@link TransactionalStore}. */
  readonly transactional: boolean
  /**
   * Claims `ref`, or says who holds it, in this order: no record or expired: yours; another fingerprint: mismatch; done,
   * tombstone, unknown; in flight with my nonce: yours again; lease alive: busy; lapsed: yours with the next attempt and
   * a higher fence, or lapsed when only reported. What is yours has a lease of `leaseMs` from now, and a record that
   * lives for the longer of `leaseMs` and `retainMs`. Fences of a ref only grow, whatever became of its records.
   * 1 round trip.
   */
  begin(ref: RefDigest, claim: Claim, limit?: Limit): Promise<Begin>
  /**
   * Ends a run, also a late one that nobody has taken over; an end lives `retainMs` from now. 'lost' means that the
   * record is not `own` any more or has ended otherwise, and nothing was changed. A repeat of one's own is 'ok' and
   * changes nothing; only a repeated release may be 'lost', since it has left no record. Wakes who waits. 1 round trip.
   */
  settle(ref: RefDigest, own: Own, as: Settlement, retainMs: number): Promise<'ok' | 'lost'>
  /**
   * Renews the lease from now on, also a late one that nobody has taken over, and keeps `checkpoint` when there is one.
   * The record lives at least as long as the lease. 'lost' as in `settle`, and when the run has ended. 1 round trip.
   */
  touch(ref: RefDigest, own: Own, leaseMs: number, checkpoint?: Uint8Array, limit?: Limit): Promise<'ok' | 'lost'>
  /** A record without its answer; null when there is none. */
  peek(ref: RefDigest, limit?: Limit): Promise<RecordView | null>
  /**
   * `forget` removes any record but one whose lease is alive; `retry` and an answer end an unknown or lapsed one only.
   * An answer lives as long as the record would have. False when there was nothing to do. Wakes who waits.
   */
  clear(ref: RefDigest, how: Clearing, limit?: Limit): Promise<boolean>
  /** Resolves when the record of `ref` may have ended, or on `signal`: a hint, the core always begins again. */
  wait?(ref: RefDigest, signal: AbortSignal): Promise<void>
  /**
   * The records with answers or checkpoints whose claim named `subject`. 'erase' takes them away, before it answers: such
   * a record becomes a tombstone, and with `op` and fingerprint nothing stays that a person could be told by; so of
   * records without bytes, which are not answered. A run whose lease is alive is its owner's and stays as it is. What has
   * expired is not exported, but erased. Many steps, each one atomic.
   */
  ofSubject?(subject: Uint8Array, how: 'export' | 'erase'): AsyncIterable<SubjectRecord>
  /** Removes at most `limit` expired records, never one that has only lapsed, and says how many. Without it the store expires them itself. */
  sweep?(limit: number): Promise<number>
  /** Numbers of records by state, for operators. */
  counts?(limit?: Limit): Promise<Partial<Record<RecordView['state'], number>>>
  /** At most `max` records that wait for an operator, the oldest claim first. */
  stuck?(max: number, limit?: Limit): Promise<readonly StuckRecord[]>
  /** At most `limit` records whose run came from this correlation id, the oldest first. A store may have to read all. */
  trace?(correlationId: string, limit: number): Promise<readonly TracedRecord[]>
  /** What an operator should change of the server: asked once, by `start()`. */
  warnings?(): Promise<readonly string[]>
  /** Resolves when the store answers within `answerMs`. */
  health(limit: Limit): Promise<void>
  /** Ends what the store itself has opened. */
  close?(): Promise<void>
}

/** What a claim in a transaction brings along. */
export interface TransactionClaim {
  /** A UUID: how a caller whose COMMIT was not answered recognises its own record. */
  readonly operationId: string
  readonly fingerprint?: Fingerprint
  /** Kept for operators and traces. */
  readonly scope: string
  readonly op: string
  readonly trace?: Trace
  readonly subject?: Uint8Array
  readonly retainMs: number
  /** How long another transaction may hold the key before the answer is 'busy'. */
  readonly waitMs: number
  /** How long the store itself may take to connect and answer; `waitMs` comes on top. */
  readonly answerMs: number
  /** How long the work may stand still inside the transaction. */
  readonly stallMs: number
  /** Restarts after a serialization failure or a deadlock. */
  readonly retries: number
}

/** How a transaction ends. */
export type TransactionEnd<T> =
  | {
      /** `commit` keeps the business rows; `remember` rolls them back to where the work began. */
      readonly end: 'commit' | 'remember'
      /** The answer; undefined leaves a tombstone. */
      readonly bytes: Uint8Array | undefined
      /** The effects: committed in both cases. */
      readonly statements: readonly Statement[]
      readonly value: T
    }
  | { readonly end: 'rollback'; readonly value: T }

/** What `within` answers: the work ran, or somebody holds the ref. */
export type WithinResult<T> =
  | { readonly kind: 'ran'; readonly value: T; readonly stored: boolean; readonly attempt: number }
  | Exclude<Held, { kind: 'lapsed' }>

/** A store that shares its database with the business rows. */
export interface TransactionalStore extends IdempotencyStore {
  readonly transactional: true
  /** `statements` are committed with the fenced update, or not at all; a repeat of one's own runs none of them. */
  settle(
    ref: RefDigest,
    own: Own,
    as: Settlement,
    retainMs: number,
    statements?: readonly Statement[],
    limit?: Limit,
  ): Promise<'ok' | 'lost'>
  /**
   * Claims `ref`, runs `work` in the same transaction, and commits rows, statements and answer together, or nothing.
   * `work` is called again, on a new claim, after a restart or a COMMIT that turned out not to have happened.
   * Rejects with what `work` threw; STORE_UNAVAILABLE when nothing happened; COMMIT_UNKNOWN when that cannot be told.
   * 2 round trips beside the work's own statements; 1 for a record that is held.
   */
  within<T>(
    ref: RefDigest,
    claim: TransactionClaim,
    work: (tx: Tx) => Promise<TransactionEnd<T>>,
  ): Promise<WithinResult<T>>
}
