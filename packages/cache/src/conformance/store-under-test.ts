import type { CacheStore } from '../store.ts'

/** A store that a suite may fill with caches of its own. */
export interface CacheStoreUnderTest {
  readonly store: CacheStore
  /** Lets so many ms pass by the store's clock; default: really waits. */
  elapse?(ms: number): Promise<void>
  /**
   * Loses what an eviction, FLUSHALL or a failover loses, of the cache of this name: all that validity needs but no
   * entry ('state'), the leases of members ('members'), or everything ('all').
   */
  lose?(name: string, what: 'state' | 'members' | 'all'): Promise<void>
  /** Breaks the connections on which members hear; new ones are accepted. */
  cut?(): Promise<void>
  /** Sets the store's clock forward, or back. Nothing elapses. */
  jump?(ms: number): Promise<void>
}
