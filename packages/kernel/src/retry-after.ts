import { parseHttpDate } from './http-date.ts'

export { parseHttpDate } from './http-date.ts'

/**
 * What a `Retry-After` asks for, in ms: whole seconds, or the time until an HTTP-date in any of its three forms, 0 where
 * that has passed (RFC 9110, section 10.2.3). Undefined for null and for anything else: nothing is guessed.
 */
export function parseRetryAfter(v: string | null, nowMs: number): number | undefined {
  if (v === null) return undefined
  if (/^\d+$/.test(v)) return Math.min(Number(v) * 1_000, Number.MAX_SAFE_INTEGER)
  const atMs = parseHttpDate(v, nowMs)
  return atMs === undefined ? undefined : Math.max(0, atMs - nowMs)
}
