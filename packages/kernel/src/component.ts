import type { Duration } from './duration.ts'
import type { Principal } from './effect.ts'
import type { MetricFamily } from './metrics.ts'

/** How a component is. A package adds its own fields. */
export interface Status {
  readonly name: string
  /** Degraded: it answers, but something is late, lost or left out. Down: it cannot do its work. */
  readonly state: 'ok' | 'degraded' | 'down'
  readonly counts: Readonly<Record<string, number>>
  /** Age of the oldest thing that waits. */
  readonly oldestMs?: number
  /** How far it is behind what it follows. */
  readonly lagMs?: number
  /** `at` in ms of the wall clock. */
  readonly lastError?: { readonly code: string; readonly at: number; readonly message: string }
}

/** What every `createX()` answers, whatever else it does. */
export interface Component {
  inspect(): Promise<Status>
  /** Numbers as they are now; see `@keelson/kernel/prometheus`. */
  metrics(): MetricFamily[]
  /** Ends what runs in the background. What is closed stays closed. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
  /**
   * The background work once, instead of `start()` (Lambda, cron): begins nothing after the budget. `done` when nothing
   * is left to do now.
   */
  runOnce?(o?: { readonly budget?: Duration }): Promise<{ readonly done: boolean }>
  /** All that is held of one person, for a request of access. */
  exportSubject?(scope: string, subject: string): AsyncIterable<unknown>
  /** Erases one person; answers what was done. */
  eraseSubject?(
    scope: string,
    subject: string,
    o: { readonly reason: string; readonly by?: Principal },
  ): Promise<object>
  /** What its rows know of one correlation id. `at` in ms of the wall clock. */
  trace?(
    correlationId: string,
  ): Promise<readonly { readonly at: number; readonly kind: string; readonly text: string }[]>
}
