import type { Duration } from '@keelson/kernel'
import type { DropEffect } from './drop-effect.ts'
import type { EntryOptions } from './entry-options.ts'
import type { Key, KeyPart } from './key.ts'
import type { LoadContext } from './load-context.ts'
import type { Dropped, Lookup } from './lookup.ts'

/** A key among many: that a computed list has a part is seen when it is used. */
type AnyKey = Key | readonly KeyPart[]

/** The entries of one scope (tenant). */
export interface Cache {
  /** The scope. */
  readonly name: string
  /**
   * The value of `key`, loaded if it is not there. One load at a time for all callers of all processes; a caller that
   * begins after an invalidation was acknowledged never gets an older value.
   *
   * A value that cannot be stored is answered all the same; `undefined` is not stored, null for `negativeTtl`. While
   * the store is away the loader answers. What callers get is frozen, or a copy (`share`).
   *
   * Rejects with what the loader threw, unless there is stale data within `grace`; LOAD_TIMEOUT; CacheError KEY_INVALID,
   * TAG_INVALID, OPTION_INVALID, CLOSED. Never with STORE_UNAVAILABLE.
   */
  getOrSet<T>(key: Key, loader: (ctx: LoadContext<T>) => T | Promise<T>, o?: Duration | EntryOptions<T>): Promise<T>
  /** The same with what is known of the value. */
  lookup<T>(
    key: Key,
    loader: (ctx: LoadContext<T>) => T | Promise<T>,
    o?: Duration | EntryOptions<T>,
  ): Promise<Lookup<T>>
  /** Undefined for what is not there, is stale, or while the store is away. */
  get<T>(key: Key): Promise<T | undefined>
  has(key: Key): Promise<boolean>
  /** Out of this process's memory alone, at once. As `get` never older than an acknowledged invalidation. */
  peek<T>(key: Key): T | undefined
  /** In one round trip; at most 1,000 keys. */
  getMany<T>(keys: readonly AnyKey[]): Promise<(T | undefined)[]>
  /** `load` is given the keys that are missing and answers their values in that order. At most 1,000 keys. */
  getOrSetMany<T>(
    keys: readonly AnyKey[],
    load: (missing: readonly Key[]) => Promise<readonly T[]>,
    o?: EntryOptions<T>,
  ): Promise<T[]>
  /**
   * Invalidates the key everywhere and stores a value. Rejects with VALUE_UNSUPPORTED, STORE_UNAVAILABLE: the key's
   * invalidation is owed then.
   */
  set<T>(key: Key, value: T, o?: Duration | EntryOptions<T>): Promise<Dropped>
  /** Invalidates keys. As `invalidate`. */
  delete(...keys: AnyKey[]): Promise<Dropped>
  /**
   * Resolves when no node can serve what had one of these tags before. Rejects with STORE_UNAVAILABLE: this node then
   * owes it, and pays before it reads from the store again.
   *
   * Not inside of an open transaction: until its COMMIT everybody loads the old rows again. That is what {@link drop}
   * is for.
   */
  invalidate(...tags: string[]): Promise<Dropped>
  /** Invalidates everything of this scope, in one step. */
  clear(): Promise<Dropped>
  /** Entries with these tags turn stale: served within their `grace` while one caller loads. */
  expire(...tags: string[]): Promise<Dropped>
  /**
   * The invalidation as an effect of a transaction: committed with its rows, applied after the commit and before the
   * answer, and by somebody else when this process dies in between.
   */
  drop(...tags: string[]): DropEffect
  /** Whether exactly this version is still valid: no body, no load. False while the store is away. */
  fresh(key: Key, version: string): Promise<boolean>
  /**
   * `fn` through the cache under the key `[name, ...args]`; arguments left out at the end are no parts of it. `this` is
   * handed on, and is no part of the key either.
   */
  wrap<A extends (KeyPart | undefined)[], T>(
    name: string,
    fn: (...args: A) => Promise<T>,
    o?: EntryOptions<T>,
  ): (...args: A) => Promise<T>
  /**
   * The same scope for a reader that knows of this stamp: never older, whatever the coherence. What it reads comes from
   * the shared store, so the stamp itself is not compared, and one of another cache does no harm.
   */
  at(stamp: string): Cache
}
