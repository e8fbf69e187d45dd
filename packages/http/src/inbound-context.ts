import type { KeelsonContext } from '@keelson/kernel'
import { correlationIdOf } from './correlation.ts'
import { readRetryAttempt, readTimeout, timeLeft } from './deadline.ts'
import type { Exchange } from './exchange.ts'
import type { CheckedOptions } from './options.ts'
import { randomHex } from './random-hex.ts'
import { isSameTrace, traceparentOf } from './traceparent.ts'

/**
 * What a request says of itself, and what is made up for it. A header that means nothing is ignored, and told to `bad`.
 * `startedMs` on the monotonic clock.
 */
export function inboundContext(
  x: Pick<Exchange, 'headerLines'>,
  o: Pick<CheckedOptions, 'correlation' | 'deadline' | 'clock'>,
  startedMs: number,
  bad: (header: string) => void,
): KeelsonContext {
  const ids = x.headerLines(o.correlation.header)
  const correlationId = correlationIdOf(ids, o.correlation.accept, o.clock)
  if (ids.length > 0 && correlationId !== ids[0]) bad(o.correlation.header)
  const parents = x.headerLines('traceparent')
  const traceparent = traceparentOf(parents, randomHex)
  if (parents.length > 0 && !isSameTrace(parents[0]!, traceparent)) bad('traceparent')
  const timeout = readTimeout(x.headerLines('x-request-timeout-ms'))
  if (timeout.isMalformed) bad('x-request-timeout-ms')
  const retry = readRetryAttempt(x.headerLines('x-retry-attempt'), x.headerLines('x-retry'))
  if (retry.isMalformed) bad('x-retry-attempt')
  const leftMs = timeLeft(timeout.value, o.deadline)
  const known: { -readonly [member in keyof KeelsonContext]: KeelsonContext[member] } = { correlationId, traceparent }
  if (leftMs !== undefined) known.deadline = startedMs + leftMs
  if (retry.value !== undefined) known.retryAttempt = retry.value
  return known
}
