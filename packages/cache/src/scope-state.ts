import type { Backoffs } from './backoffs.ts'
import type { Cache } from './cache.ts'
import type { Flight } from './flight.ts'
import type { L1Scope } from './l1/l1.ts'
import type { WakeUps } from './wake-ups.ts'

/** What a cache knows of one scope. Lives as long as anybody holds its Cache, or something runs in it. */
export interface ScopeState {
  readonly name: string
  readonly l1: L1Scope | undefined
  /** The newest one of each encoded key. */
  readonly flights: Map<string, Flight>
  /** Keys that are loaded before their time. */
  readonly refreshing: Set<string>
  /** Loads past a store that is away. */
  readonly bypasses: Map<string, Bypass>
  readonly backoffs: Backoffs
  readonly wakeUps: WakeUps
  cache: Cache | undefined
}

/** At most one running and one queued: whoever comes after a load began must not have its value. */
export interface Bypass {
  readonly running: Promise<unknown>
  /** It begins after `running`. */
  queued: Flight | undefined
}
