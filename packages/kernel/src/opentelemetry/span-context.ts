import { isTraceparent } from '../traceparent.ts'
import type { SpanContextLike } from './api.ts'

/** The span that a traceparent names; undefined for what is none. */
export function spanContextOf(traceparent: unknown): SpanContextLike | undefined {
  if (!isTraceparent(traceparent)) return undefined
  const [, traceId, spanId, flags] = traceparent.split('-') as [string, string, string, string]
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
}

/** As W3C Trace Context writes it; undefined for a span that has no ids: nobody has installed a tracer. */
export function traceparentOf({ traceId, spanId, traceFlags }: SpanContextLike): string | undefined {
  const text = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
  return isTraceparent(text) ? text : undefined
}
