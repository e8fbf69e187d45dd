import { systemClock } from '../clock.ts'
import { isKeelsonError } from '../error.ts'
import { units, unitSeconds, type UnitOutcome } from '../kernel-metrics.ts'
import { traced } from '../traced.ts'
import type { UnitEnd } from './unit-plan.ts'

/** What listeners of `keelson:kernel:unit` are told. */
export interface UnitMessage {
  /** Begun again: after 40001, 40P01, or a forgotten prepared statement. */
  restarts: number
  /** Set when it has ended. */
  end?: UnitOutcome
}

/** Runs a unit of work, counts it, and tells whoever listens. */
export function observed<T>(run: (message: UnitMessage) => Promise<{ end: UnitEnd<T>['end']; value: T }>): Promise<T> {
  const message: UnitMessage = { restarts: 0 }
  const startMs = systemClock.monotonic()
  const ended = (end: UnitOutcome): void => {
    message.end = end
    units.inc({ end })
    unitSeconds.observe((systemClock.monotonic() - startMs) / 1_000)
  }
  return traced(
    'kernel:unit',
    () => message,
    async () => {
      try {
        const { end, value } = await run(message)
        ended(end)
        return value
      } catch (error) {
        ended(outcomeOf(error))
        throw error
      }
    },
  )
}

function outcomeOf(error: unknown): UnitOutcome {
  if (isKeelsonError(error, 'COMMIT_UNKNOWN')) return 'unknown'
  return isKeelsonError(error, 'STORE_UNAVAILABLE') ? 'unavailable' : 'failed'
}
