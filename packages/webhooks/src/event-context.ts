import { context } from '@keelson/kernel'
import type { StoredEvent } from './store.ts'

/** Runs `fn` as a part of what the event was published in, and of nothing else. */
export function inContextOf<T>({ scope, correlationId, traceparent }: StoredEvent, fn: () => T): T {
  const carried = {
    tenant: scope,
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(traceparent === undefined ? {} : { traceparent }),
  }
  return context.resume(carried, fn)
}
