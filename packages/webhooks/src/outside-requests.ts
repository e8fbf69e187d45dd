import { AsyncLocalStorage } from 'node:async_hooks'
import { context } from '@keelson/kernel'

/**
 * Runs what belongs to no request, as it would have run at this moment of making: a request that happens to wake it lends
 * it neither its context and deadline nor what the application keeps in an AsyncLocalStorage of its own.
 */
export function outsideRequests(): <T>(fn: () => T) => T {
  const outside = AsyncLocalStorage.snapshot()
  return (fn) => outside(() => context.resume({}, fn))
}
