import { setTimeout as sleep } from 'node:timers/promises'
import { isKeelsonError } from '@keelson/kernel'

/**
 * As a client does it: whom a store that a busy machine keeps waiting has refused asks again for the same. A query of
 * Postgres has 5 s, whatever the time-out of its callers. Who is refused for ever is ended by the harness.
 */
export async function accepted<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!isKeelsonError(error, 'STORE_UNAVAILABLE')) throw error
      await sleep(50)
    }
  }
}
