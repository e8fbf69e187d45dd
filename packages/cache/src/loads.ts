import { traced, type Clock, type Logger } from '@keelson/kernel'
import type { Policy } from './entry-options.ts'
import { CacheError } from './error.ts'
import type { Flight } from './flight.ts'
import { loadNotes, type LoadContext, type LoadNotes } from './load-context.ts'
import type { Lookup } from './lookup.ts'
import type { CacheMetrics } from './metrics.ts'

/** What a caller loads with. */
export type Loader = (context: LoadContext<any>) => unknown

/** A loader's value and what it said beside. */
export interface Loaded {
  readonly value: unknown
  readonly notes: LoadNotes
  readonly loadMs: number
}

/** Runs loaders. */
export type RunLoad = (flight: Flight, loader: Loader, policy: Policy) => Promise<Loaded>

export function createRunLoad(o: {
  readonly name: string
  readonly metrics: CacheMetrics
  readonly running: Set<Flight>
  readonly maxTtl: number
  readonly handOut: HandOut
  readonly clock: Clock
  readonly logger: Logger
}): RunLoad {
  const { name, metrics, running, maxTtl, handOut, clock, logger } = o

  return async (flight, loader, policy) => {
    const notes = loadNotes(flight.signal, previousOf(flight.stale, handOut), maxTtl)
    const startMs = clock.monotonic()
    running.add(flight)
    metrics.loads.inc(metrics.labels)
    try {
      const value = await traced(
        'cache:load',
        () => ({ cache: name }),
        () => timed(async () => loader(notes.context), flight, policy.timeout),
      )
      return { value, notes, loadMs: clock.monotonic() - startMs }
    } catch (error) {
      if (!flight.abandoned) logger.warn({ err: error, cache: name }, 'cache.loader.failed')
      throw error
    } finally {
      running.delete(flight)
      metrics.loadSeconds.observe((clock.monotonic() - startMs) / 1000, metrics.labels)
    }
  }

  async function timed<T>(run: () => Promise<T>, flight: Flight, timeoutMs: number | undefined): Promise<T> {
    if (timeoutMs === undefined) return run()
    const { promise, reject } = Promise.withResolvers<never>()
    const giveUp = (): void => {
      const error = new CacheError('LOAD_TIMEOUT', `a load took longer than ${timeoutMs} ms`)
      flight.abort(error)
      reject(error)
    }
    const timer = clock.timer(giveUp, timeoutMs, { ref: true })
    try {
      return await Promise.race([run(), promise])
    } finally {
      timer.cancel()
    }
  }
}

type HandOut = (value: unknown) => unknown

function previousOf(
  stale: Lookup<unknown> | undefined,
  handOut: HandOut,
): { value: unknown; version: string } | undefined {
  return stale === undefined ? undefined : { value: handOut(stale.value), version: stale.version }
}
