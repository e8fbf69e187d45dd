import { tracingChannel } from 'node:diagnostics_channel'
import { runningCounts } from './counters.ts'

/** Two copies of this package count every read once. */
const COUNTED: unique symbol = Symbol.for('keelson.http.reads') as never

/** From now on this process counts the reads of its caches into the requests that they are of. */
export function countReads(): void {
  const shared = globalThis as { [COUNTED]?: true }
  if (shared[COUNTED]) return
  shared[COUNTED] = true
  tracingChannel('keelson:cache:read').asyncEnd.subscribe((message) => {
    const counts = runningCounts()
    if (counts === undefined) return
    const { outcome } = message as { outcome?: string }
    if (outcome === 'hit' || outcome === 'stale') counts.cacheHits++
    else counts.cacheMisses++
  })
}
