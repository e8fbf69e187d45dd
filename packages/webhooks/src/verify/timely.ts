import type { Clock } from '@keelson/kernel'
import { WebhookError } from '../error.ts'

/** What a timestamp in a header looks like: anything else would be read one way here and another way elsewhere. */
export const TIMESTAMP: RegExp = /^[0-9]{1,13}$/

/**
 * Refuses what was signed too long ago, or will be. Both clocks in whole seconds, as the senders' own libraries do.
 * @throws WebhookError TOO_OLD, TOO_NEW
 */
export function checkTimely(seconds: number, toleranceMs: number, clock: Pick<Clock, 'now'>): void {
  const ageMs = (Math.floor(clock.now() / 1000) - seconds) * 1000
  if (ageMs > toleranceMs) throw new WebhookError('TOO_OLD', `signed more than ${toleranceMs} ms ago`)
  if (-ageMs > toleranceMs) {
    throw new WebhookError('TOO_NEW', `signed more than ${toleranceMs} ms ahead of this clock`)
  }
}
