import type { Component, Duration, ReplayGuard, Status } from '@keelson/kernel'
import type { Cache } from './cache.ts'
import type { Dropped } from './lookup.ts'

/** How a cache is. `degraded` while its store is away or a drop is owed. */
export interface CacheStatus extends Status {
  readonly counts: {
    readonly entries: number
    readonly loads: number
    readonly owed: number
  }
  /** Between `start()` and `stop()`. */
  readonly running: boolean
  readonly store: {
    readonly kind: string
    readonly state: 'up' | 'down'
    /** Wall clock, ms: since when it is away. */
    readonly since?: number
  }
  readonly lease: { readonly held: boolean; readonly expiresInMs: number; readonly peers: number }
  readonly l1: { readonly entries: number; readonly bytes: number; readonly tags: number; readonly hitRatio: number }
  readonly loads: { readonly running: number }
  readonly owed: { readonly tags: number; readonly oldestMs: number }
  readonly log: { readonly rows: number; readonly oldestMs: number } | null
  readonly epoch: string | undefined
}

/** The caches of all scopes of one name. */
export interface Caches extends Component {
  /**
   * The cache of one scope (tenant); `'public'` is spelled out. Cheap: call it per request.
   * @throws CacheError SCOPE_INVALID
   */
  scope(name: string): Cache
  /** Invalidates everything of this name, on all nodes. */
  clear(): Promise<Dropped>
  /**
   * Deletes the bytes of entries that are no longer valid, or all of a scope, in batches; answers how many. For the
   * erasure of a person: `invalidate(tag)`, then this.
   */
  purge(scope?: string): Promise<{ readonly entries: number }>
  /** For `createIdempotency({ replayGuards: [caches.replayGuard] })`: a replay waits until its drops are applied. */
  readonly replayGuard: ReplayGuard
  /**
   * Applies every committed drop of the log that is still there, or those of one operation. Rejects with
   * STORE_UNAVAILABLE, and NO_LOG without a log.
   */
  settle(o?: { readonly operation?: string }): Promise<{ readonly applied: number }>
  /** Begins to serve from memory and to relay what others could not apply. Resolves also while the store is away. */
  start(): Promise<void>
  /** Ends that: waits at most `drain` (5 s) for loads, pays what is owed, gives the lease back. */
  stop(o?: { readonly drain?: Duration }): Promise<void>
  /** For short-lived processes: pays what is owed and relays once, for at most `budget` (10 s). */
  runOnce(o?: { readonly budget?: Duration }): Promise<{ readonly done: boolean }>
  /** What the log knows of one request: drops that were committed and are not applied yet. */
  trace(
    correlationId: string,
  ): Promise<readonly { readonly at: number; readonly kind: 'cache.drop'; readonly text: string }[]>
  inspect(): Promise<CacheStatus>
}
