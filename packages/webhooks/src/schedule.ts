import { ms, type Duration } from '@keelson/kernel'
import { optionFailure } from './error.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** Ten attempts over three days: the pause before each of them. */
export const DEFAULT_SCHEDULE: readonly number[] = [
  0,
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
]

/** The most attempts, and the longest pause between two of them. */
export const MAX_STEPS = 50
export const MAX_STEP_MS: number = 30 * 24 * HOUR

/**
 * A schedule for `retry`: the first attempt at once, then `retries` (0 to 49) more after `first` (1 s), each pause
 * `factor` (2) times the one before, at most `max` (24 h).
 * @throws WebhookError OPTION_INVALID
 */
export function exponentialSchedule(o: {
  readonly retries: number
  readonly first?: Duration
  readonly factor?: number
  readonly max?: Duration
}): Duration[] {
  const { retries, first = SECOND, factor = 2, max = 24 * HOUR } = o
  const refuse = (what: string) => optionFailure(`exponentialSchedule: ${what}`)
  if (!Number.isInteger(retries) || retries < 0 || retries >= MAX_STEPS) {
    throw refuse(`"retries" must be an integer from 0 to ${MAX_STEPS - 1} (got ${String(retries)})`)
  }
  if (!Number.isFinite(factor) || factor < 1) throw refuse(`"factor" must be at least 1 (got ${String(factor)})`)
  const firstMs = ms(first)
  const maxMs = ms(max)
  if (maxMs > MAX_STEP_MS) throw refuse(`"max" must be at most '30d' (got ${String(max)})`)
  return [0, ...Array.from({ length: retries }, (_, i) => Math.round(Math.min(firstMs * factor ** i, maxMs)))]
}
