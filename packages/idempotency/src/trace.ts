import { context } from '@keelson/kernel'
import type { Trace } from './store.ts'

/** Where the running request or job came from. */
export function traceOfContext(): Trace {
  const { correlationId, traceparent } = context.get() ?? {}
  return {
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(traceparent === undefined ? {} : { traceparent }),
  }
}
