import { problem } from '@keelson/http'
import { createStoreGuard, isStoreFailure, type Tx } from '@keelson/kernel'
import { createAsk, type KnownDatabase } from '@keelson/kernel/postgres'
import type { Environment } from './environment.ts'

/** Our own reads, outside a transaction: each has a deadline, and while the database is away they are refused at once. */
export function openReads(
  db: KnownDatabase,
  { STORE_TIMEOUT: timeout }: Pick<Environment, 'STORE_TIMEOUT'>,
): Pick<Tx, 'query'> & { close(): void } {
  const ask = createAsk(db)
  const guard = createStoreGuard({ name: 'parcels', timeout, ping: () => ask({ text: 'select 1' }) })
  return {
    close: () => guard.close(),
    async query(text, values = []) {
      try {
        return { rows: [...(await guard.call(() => ask({ text, values })))] }
      } catch (cause) {
        // What the guard says is a 503 by itself; this is what the driver says.
        throw isStoreFailure(cause) ? problem(503, 'store-unavailable', { retryAfter: 1_000, cause }) : cause
      }
    },
  }
}
