import type { Clock, Logger } from '@keelson/kernel'

/** Where entries are shipped to: one request under way at a time. */
export interface Sink {
  /** Its cursor is kept under it. */
  readonly name: string
  /** Nothing overtakes an entry that is tried again. */
  readonly ordered: boolean
  /** Only these entries are for it; the cursor passes the others by. */
  readonly only?: { readonly scopes?: readonly string[]; readonly actions?: readonly string[] }
  /** Bounds of a batch. A batch is sent when it is full or its oldest entry has waited for `flushMs`. */
  readonly maxBatchBytes: number
  readonly maxBatchEntries: number
  readonly flushMs: number
  /** Of one `deliver`. */
  readonly timeoutMs: number
  /**
   * Where an answer proves little (TCP without acknowledgements): entries count as delivered only so long after their
   * 'ok', if nothing was lost meanwhile. Absent: at once.
   */
  readonly settleAfterMs?: number
  /** True, once, when what was delivered and is not settled may be lost: it goes again. Until it was asked, `deliver` rejects. */
  lost?(): boolean
  /** Before the first batch of this process's lease, with what `state` said when the cursor was moved last. */
  open?(state: string | null, tools: SinkTools): Promise<void>
  /** Once, before the first batch: an index template, for example. */
  setup?(signal: AbortSignal): Promise<void>
  /**
   * An outcome for each entry, in order. A rejection is `{ retry }` for all of them; its `retryAfter`, in ms, counts, and
   * with the `status` 413 the next batch is half as big, while one entry alone is rejected; with `halt: true` it halts.
   */
  deliver(batch: Batch, signal: AbortSignal): Promise<readonly Outcome[]>
  /** What must be kept with the cursor behind the last batch that is settled. */
  state?(): string | null
  /** The keys of a person are gone: a sink that copied values may act. */
  erase?(scope: string, ref: string): Promise<void>
  close?(): Promise<void>
}

/** What a sink gets of the log that it belongs to. */
export interface SinkTools {
  readonly clock: Clock
  readonly logger: Logger
}

/** Sealed entries on their way to a sink. */
export interface Batch {
  readonly log: string
  /** In order of index; not dense where `only` leaves some out. */
  readonly entries: readonly BatchEntry[]
}

/** One of them. */
export interface BatchEntry {
  readonly index: number
  readonly id: string
  readonly scope: string
  readonly action: string
  readonly atMs: number
  /** As stored and hashed: one JSON object in UTF-8, without a line break. */
  readonly bytes: Uint8Array
  /** SHA-256(0x00 || bytes). */
  readonly leaf: Uint8Array
}

/**
 * What became of an entry at a sink. `retry`: that one again, `after` ms at the earliest. `reject`: a dead letter.
 * `halt`: nothing goes until somebody mends it (a wrong password, a missing index); nothing is lost.
 */
export type Outcome =
  | 'ok'
  | 'duplicate'
  | { readonly retry: string; readonly after?: number }
  | { readonly reject: string }
  | { readonly halt: string }

/** How shipping to a sink goes. */
export interface SinkStatus {
  readonly state: 'running' | 'backoff' | 'halted' | 'paused'
  /** The first index that it has not. */
  readonly cursor: number
  /** Sealed entries from there on. */
  readonly pending: number
  /** Age of the oldest of them. */
  readonly oldestMs: number | null
  /** Ms since the epoch. */
  readonly lastAckAt: number | null
  readonly lastError: string | null
  readonly dead: number
}
