import { systemClock, type Clock } from '@keelson/kernel'
import type { Key } from '../key.ts'
import type { Kept } from './kept.ts'
import { Notes } from './notes.ts'
import { Policy } from './policy.ts'
import { Scope, type Shared } from './scope.ts'
import { TagTable } from './tag-table.ts'

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
  /** Whether one of these tags was invalidated after generation `at`, or that is no longer known. */
  moved(tags: readonly string[], at: number): boolean
  /** Invalidates what has one of these tags. With `soft` it turns stale, and is gone only if it has no grace. */
  bump(tags: readonly string[], soft?: boolean): void
}

/** What this process keeps of one cache: entries with their values, and of each tag when it was last invalidated. */
export interface L1 {
  /** One object per scope for as long as anybody holds it or it has entries. */
  scope(name: string): L1Scope
  /** Forgets every entry; nothing that was read or loaded before is put any more. */
  drop(): void
  /** Removes what is invalid or gone, or all of a scope. Answers how many entries. */
  purge(scope?: string): number
  /** The highest of any scope. */
  readonly generation: number
  readonly entries: number
  readonly bytes: number
  readonly tags: number
  /** Entries that made room for others, since the start. */
  readonly evictions: number
}

/** How it is made. */
export interface L1Options {
  /** Of the times in entries. */
  readonly clock?: Pick<Clock, 'monotonic'>
  /** A load that takes longer may be refused; 60,000. */
  readonly maxLoadMs?: number
  /** Of the hashes that admission compares: nobody outside shall know which keys share one. */
  readonly seed?: number
}

/** An empty one. */
export function createL1(limits: L1Limits, o: L1Options = {}): L1 {
  const { clock = systemClock, maxLoadMs = 60_000, seed = Math.trunc(Math.random() * 2 ** 32) } = o
  const scopes = new Map<string, WeakRef<Scope>>()
  const unheld = new FinalizationRegistry<string>((name) => {
    if (scopes.get(name)?.deref() === undefined) scopes.delete(name)
  })
  let evictions = 0
  const isGone = (entry: Kept): boolean =>
    entry.goneMs <= clock.monotonic() || (entry.seen !== scopeOf(entry).generation && !scopeOf(entry).isValid(entry))
  const policy = new Policy(limits, {
    isGone,
    evict(entry) {
      evictions++
      scopeOf(entry).forget(entry)
    },
  })
  const notes = new Notes(maxLoadMs)
  const shared: Shared = {
    policy,
    notes,
    tags: new TagTable(),
    limits,
    monotonic: () => clock.monotonic(),
    generation: 0,
  }

  return {
    scope(name) {
      const known = scopes.get(name)?.deref()
      if (known !== undefined) return known
      const scope = new Scope(name, shared, seed)
      scopes.set(name, new WeakRef(scope))
      unheld.register(scope, name)
      return scope
    },
    drop() {
      shared.generation++
      policy.clear()
      notes.clear()
      shared.tags = new TagTable()
      for (const held of scopes.values()) held.deref()?.reset()
    },
    purge(name) {
      const scope = name === undefined ? undefined : scopes.get(name)?.deref()
      let purged = 0
      for (const entry of policy) {
        if (name === undefined ? !isGone(entry) : scopeOf(entry) !== scope) continue
        scopeOf(entry).remove(entry)
        purged++
      }
      return purged
    },
    get generation() {
      return shared.generation
    },
    get entries() {
      return policy.entries
    },
    get bytes() {
      return policy.bytes
    },
    get tags() {
      return shared.tags.size
    },
    get evictions() {
      return evictions
    },
  }
}

function scopeOf(entry: Kept): Scope {
  return entry.home.root.scope
}
