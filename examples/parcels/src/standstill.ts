import { createIdempotency } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import type { Database } from '@keelson/kernel'
import { database } from '@keelson/kernel/postgres'
import type { System } from './system.ts'

/** For the story: a system whose database stands still when it is told to. It refuses nothing, and answers nothing. */
export function standstill(system: System): { readonly system: System; begin(): void; end(): void } {
  let moving = Promise.resolve()
  let end = (): void => {}
  const standing: Database = {
    query: async (text, values) => moving.then(() => system.db.query(text, values)),
    transaction: async (work) => moving.then(() => system.db.transaction(work)),
  }
  const db = database(standing)
  const { replayGuard } = system.caches
  const idempotency = createIdempotency({
    store: postgresStore(db),
    storeTimeout: '250ms',
    // A database that is not a pool may let us queue for so long.
    lease: '2s',
    wait: '60s',
    replayGuards: [replayGuard],
  })
  return {
    system: { ...system, db, idempotency },
    begin() {
      ;({ promise: moving, resolve: end } = Promise.withResolvers<void>())
    },
    end: () => end(),
  }
}
