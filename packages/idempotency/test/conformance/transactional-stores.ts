import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { inject } from 'vitest'
import type { Subject } from '@keelson/kernel/conformance'
import { database, migrate } from '@keelson/kernel/postgres'
import type { TransactionalStoreUnderTest } from '@keelson/idempotency/conformance'
import { postgresStore } from '@keelson/idempotency/postgres'

/** One database for all cases: `open` before the first, `close` behind the last. */
interface SharedSubject extends Subject<TransactionalStoreUnderTest> {
  open(): Promise<void>
  close(): Promise<void>
}

/** Every database that the store claims to support. */
export const transactionalStores: Record<string, SharedSubject> = {
  Postgres: shared(['parallel'], async () => {
    const db = new pg.Pool({ connectionString: inject('databaseUrl') })
    db.on('error', () => {})
    const schema = `within_${randomBytes(6).toString('hex')}`
    const store = postgresStore(db, { schema })
    await migrate(db, [store])
    return {
      opened: { store, db: database(db) },
      async end() {
        await db.query(`drop schema ${schema} cascade`)
        await db.end()
      },
    }
  }),
  PGlite: shared([], async () => {
    const db = new PGlite()
    const store = postgresStore(db)
    await migrate(db, [store])
    return { opened: { store, db: database(db) }, end: () => db.close() }
  }),
}

function shared(
  has: readonly string[],
  start: () => Promise<{ opened: TransactionalStoreUnderTest; end(): Promise<void> }>,
): SharedSubject {
  let running: Awaited<ReturnType<typeof start>>
  return {
    has,
    async open() {
      running = await start()
    },
    close: () => running.end(),
    make: async () => ({ ...running.opened, async dispose() {} }),
  }
}
