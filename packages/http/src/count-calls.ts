import { tracingChannel } from 'node:diagnostics_channel'
import { runningCounts } from './counters.ts'

/** Two copies of this package count every call once. */
const COUNTED: unique symbol = Symbol.for('keelson.http.calls') as never

/** From now on this process counts the calls of its pipelines into the requests that they are of. */
export function countCalls(): void {
  const shared = globalThis as { [COUNTED]?: true }
  if (shared[COUNTED]) return
  shared[COUNTED] = true
  tracingChannel('keelson:resilience:call').asyncEnd.subscribe((message) => {
    const counts = runningCounts()
    if (counts === undefined) return
    counts.calls++
    counts.callMs += (message as { ms?: number }).ms ?? 0
  })
}
