import type { Clock } from '@keelson/kernel'
import type { EndpointSettings } from './endpoint-config.ts'
import type { LaneRules } from './lane.ts'
import { readBody } from './event-body.ts'
import type { Claim, StoredEvent } from './store.ts'
import type { HandlerOperation, WebhookEvent } from './webhooks.ts'

/** A function that receives events. */
export interface Handler {
  readonly name: string
  readonly types: readonly string[]
  readonly scope: string | null
  readonly settings: EndpointSettings
  readonly rules: LaneRules
  readonly fn: (event: WebhookEvent, op: HandlerOperation) => unknown
}

/** How a call of a handler ended. */
export interface HandlerResult {
  readonly outcome: 'success' | 'status' | 'timeout'
  readonly durationMs: number
  readonly retryAfterMs: number | null
  readonly error: string | null
}

/** Calls a handler, for `limitMs` at most; never rejects. `stop` aborts it as the timeout does. */
export async function handlerAttempt(
  claim: Claim,
  { name, fn }: Handler,
  limitMs: number,
  stop: AbortSignal,
  clock: Clock,
): Promise<HandlerResult> {
  const { event } = claim
  const beganMs = clock.monotonic()
  const timeout = new AbortController()
  const signal = AbortSignal.any([timeout.signal, stop])
  const op: HandlerOperation = { dedupeKey: `${name}:${event.id}`, attempt: claim.attempts + 1, signal }
  const timer = clock.timer(() => timeout.abort(new Error(`handler ${name}: timeout`)), limitMs)
  const since = () => Math.round(clock.monotonic() - beganMs)
  try {
    await Promise.race([
      (async () => fn(readEvent(event), op))(),
      new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      }),
    ])
    return { outcome: 'success', durationMs: since(), retryAfterMs: null, error: null }
  } catch (thrown) {
    const outcome = signal.aborted ? 'timeout' : 'status'
    return { outcome, durationMs: since(), retryAfterMs: pauseOf(thrown), error: wordsOf(thrown) }
  } finally {
    timer.cancel()
  }
}

const MAX_ERROR = 1_000

/** Anything can be thrown. */
function wordsOf(thrown: unknown): string {
  try {
    return String((thrown as Error | null)?.message ?? thrown)
      .slice(0, MAX_ERROR)
      .toWellFormed()
  } catch {
    return 'something without words was thrown'
  }
}

/** What it asks for, in ms. */
function pauseOf(thrown: unknown): number | null {
  try {
    const { retryAfter } = (thrown ?? {}) as { retryAfter?: unknown }
    return typeof retryAfter === 'number' && retryAfter > 0 ? Math.ceil(retryAfter) : null
  } catch {
    return null
  }
}

/** An event as handlers get it. */
export function readEvent(event: StoredEvent): WebhookEvent {
  const { id, scope, type, key, channel, subject, correlationId } = event
  const { timestamp, version, data } = event.erased
    ? { timestamp: new Date(event.createdAtMs), version: undefined, data: null }
    : readBody(event.body)
  return {
    id,
    scope,
    type,
    timestamp,
    ...(version === undefined ? {} : { version }),
    data,
    ...(key === undefined ? {} : { key }),
    ...(channel === undefined ? {} : { channel }),
    ...(subject === undefined ? {} : { subject }),
    ...(correlationId === undefined ? {} : { correlationId }),
  }
}
