import { createLimiter, memoryStore, type Limiter, type LimiterStore } from '@keelson/resilience/limiter'
import type { Environment } from './environment.ts'

/** Merchants on trial may book three times a minute. */
const ON_TRIAL = new Set(['m3'])
const TRIAL_LIMIT = 3

/** What a merchant may book: one limiter, a limit by plan. Without a store it counts in this process. */
export function openBookingLimits(
  { BOOKINGS_PER_MINUTE, STORE_TIMEOUT }: Pick<Environment, 'BOOKINGS_PER_MINUTE' | 'STORE_TIMEOUT'>,
  store: LimiterStore = memoryStore(),
): Limiter {
  return createLimiter({
    name: 'bookings',
    quotas: {
      name: 'minute',
      per: '1m',
      limit: ({ scope }) => (ON_TRIAL.has(scope) ? Math.min(TRIAL_LIMIT, BOOKINGS_PER_MINUTE) : BOOKINGS_PER_MINUTE),
    },
    store,
    storeTimeout: STORE_TIMEOUT,
  })
}
