import { systemClock } from '@keelson/kernel'
import { watchQueries, type DatabaseLike } from '@keelson/kernel/postgres'
import { runningCounts } from './counters.ts'
import { optionFailure } from './error.ts'

/**
 * The same database, which counts and times what a request asks of it into {@link counters}: in `query`, and on the
 * clients and transactions that it hands out. Texts and values are not kept. Give it to `createHttp`, the stores and
 * your own code alike.
 * @throws HttpError OPTION_INVALID for what is no pg Pool, PGlite or Database.
 */
export function watchDatabase<D extends DatabaseLike>(db: D): D {
  try {
    return watchQueries(db, counting)
  } catch (cause) {
    throw optionFailure(`watchDatabase: ${(cause as Error).message}`)
  }
}

/** In the request it was asked by, whoever hears of its end. */
function counting(): (() => void) | undefined {
  const counts = runningCounts()
  if (counts === undefined) return undefined
  const startMs = systemClock.monotonic()
  counts.queries++
  return () => void (counts.queryMs += systemClock.monotonic() - startMs)
}
