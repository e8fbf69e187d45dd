/** A value, and what is known of it. */
export interface Lookup<T> {
  readonly value: T
  /** Of exactly this fill: ask `fresh(key, version)` whether it is still valid. Empty when it is not stored. */
  readonly version: string
  /** For `at()`: reads there are never older. Empty while the store is away. */
  readonly stamp: string
  /** Explicit ones. */
  readonly tags: readonly string[]
  /** Ms since it was stored. */
  readonly age: number
  /** Ms until it turns stale; 0 of a stale one. */
  readonly ttl: number
  /**
   * From this process ('l1') or the shared store ('l2'); 'loaded' for this caller or 'joined' to another's load;
   * 'stale' within its grace; 'bypass': loaded while the store is away.
   */
  readonly state: 'l1' | 'l2' | 'loaded' | 'joined' | 'stale' | 'bypass'
}

/** An acknowledged invalidation. */
export interface Dropped {
  /** For `at()`. */
  readonly stamp: string
  readonly tags: readonly string[]
}
