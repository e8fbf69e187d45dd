import { context } from '@keelson/kernel'
import type { Trace } from './store.ts'

/** Where the running request or job came from. */
export function traceOfContext(): Trace {
  const { correlationId, traceparent } = context.get() ?? {}
  const trace: { -readonly [member in keyof Trace]: Trace[member] } = {}
  if (correlationId !== undefined) trace.correlationId = correlationId
  if (traceparent !== undefined) trace.traceparent = traceparent
  return trace
}
