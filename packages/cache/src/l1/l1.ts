import type { Key } from '../key.ts'

/** What a process keeps, over all scopes of one name. */
export interface L1Limits {
  readonly maxEntries: number
  readonly maxBytes: number
}

/** What is put. Times in ms of the process's monotonic clock. */
export interface NewL1Entry {
  /** Frozen or never handed out twice: whoever reads gets this very value. */
  readonly value: unknown
  /** What it takes, keys and bookkeeping estimated. */
  readonly bytes: number
  /** Explicit and implicit ones; the tag of its own key is among them. */
  readonly tags: readonly string[]
  readonly stamp: string
  readonly fill: string
  readonly loadMs: number
  readonly storedMs: number
  /** From then on it is stale. */
  readonly endsMs: number
  /** From then on it is gone: `endsMs` where no grace is kept here. */
  readonly goneMs: number
}

/** An entry in this process's memory. */
export interface L1Entry {
  readonly value: unknown
  readonly stamp: string
  readonly fill: string
  readonly loadMs: number
  readonly storedMs: number
  /** 0 once one of its tags was expired softly. */
  readonly endsMs: number
  readonly goneMs: number
  /** All of its tags. Made when it is asked for. */
  tags(): string[]
}

/** The entries of one scope. */
export interface L1Scope {
  /** Grows with each invalidation that was heard of in this scope. What is taken before a read or a load is sent. */
  readonly generation: number
  /**
   * The entry, if no tag of it was invalidated since; time and lease are the caller's to compare. One that is invalid
   * is removed. Allocates nothing, walks tags only when something was invalidated since its last hit, and counts as
   * a use for admission and eviction.
   */
  get(key: Key): L1Entry | undefined
  /**
   * Puts what was read or loaded. Refused (undefined) when a tag of it was invalidated after generation `at`, or when
   * that is no longer known. What admission turns down is answered all the same: it is just not kept.
   */
  put(key: Key, at: number, entry: NewL1Entry): L1Entry | undefined
  /** Invalidates, or with `soft` lets turn stale, what has one of these tags. */
  bump(tags: readonly string[], soft?: boolean): void
}

/** What this process keeps of one cache: entries with their values, and of each tag when it was last invalidated. */
export interface L1 {
  /** One object per scope for as long as anybody holds it or it has entries. */
  scope(name: string): L1Scope
  /** Forgets every entry; nothing that was read or loaded before is put any more. */
  drop(): void
  readonly entries: number
  readonly bytes: number
  readonly tags: number
  /** Entries that made room for others, since the start. */
  readonly evictions: number
}
