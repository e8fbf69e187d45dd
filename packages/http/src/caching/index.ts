import type { StoredResponse } from '@keelson/kernel'
import { afterLeaving } from '../after-leaving.ts'
import type { Captured, Exchange } from '../exchange.ts'
import type { CheckedOptions } from '../options.ts'
import type { CheckedPolicy } from '../policy.ts'
import type { RequestMetrics } from '../request-metrics.ts'
import type { RequestStates } from '../request-state.ts'
import { invalidation, type Invalidation } from './invalidation.ts'
import { LEFT_MS } from './loads.ts'
import { readThrough } from './read-through.ts'
import { validate } from './validate.ts'

/** What these rules have from their http. */
export interface CachingParts {
  readonly options: CheckedOptions
  readonly states: RequestStates
  readonly metrics: RequestMetrics
  report(x: Exchange, why: string, error?: unknown): void
  /** The answer is kept by this route. @throws HttpError CAPTURE_TWICE */
  claim(x: Exchange): void
}

/** The rules `cached`, `etag` and `invalidates` of one policy. */
export interface Caching {
  /**
   * In front of a handler, without a key: an answer in its place, or undefined. `settled` is awaited when the handler's
   * answer is captured, which not every request's is.
   */
  late(x: Exchange, settled?: (captured: Captured) => Promise<void>): Promise<StoredResponse | undefined>
  readonly invalidation: Invalidation | undefined
}

export function caching({ cached, etag, invalidates }: CheckedPolicy, parts: CachingParts): Caching {
  const maxBytes = parts.options.maxStoredBytes
  const read = cached === undefined ? undefined : readThrough(cached, parts)
  const writes = invalidates === undefined ? undefined : invalidation(invalidates, parts)
  return {
    invalidation: writes,
    async late(x, settled) {
      if (read !== undefined) return read(x, settled)
      if (writes !== undefined) {
        parts.claim(x)
        const leaving = afterLeaving(x, parts.options.clock, LEFT_MS, () => parts.report(x, 'left'))
        x.capture({ maxBytes, hold: 'last' }, async (captured) => {
          leaving.cancel()
          await writes.after(x, captured)
          await settled?.(captured)
          return undefined
        })
      } else if (etag && x.method === 'GET') {
        parts.claim(x)
        validate(x, etag, maxBytes, settled)
      }
      return undefined
    },
  }
}
