import type { LimiterStore } from '../limiter/store.ts'

/** A store that a suite may fill with counters of its own. */
export interface StoreUnderTest {
  readonly store: LimiterStore
  /** Lets so many ms pass by the store's clock, and no more; default: really waits. */
  elapse?(ms: number): Promise<void>
}
