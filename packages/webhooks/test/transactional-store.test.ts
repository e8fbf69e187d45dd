import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { afterAll, describe, expect, inject, it, test } from 'vitest'
import { register, scoreMutants, type Subject } from '@keelson/kernel/conformance'
import { database, migrate, type DatabaseLike } from '@keelson/kernel/postgres'
import {
  brokenTransactionalStores,
  transactionalStoreSuite,
  type TransactionalStoreUnderTest,
} from '@keelson/webhooks/conformance'
import { postgresStore } from '@keelson/webhooks/postgres'

const pool = new pg.Pool({ connectionString: inject('databaseUrl') })
const pglite = new PGlite()
afterAll(() => Promise.all([pool.end(), pglite.close()]))

const subjects: Record<string, Subject<TransactionalStoreUnderTest>> = {
  Postgres: { has: ['parallel'], make: () => openStore(pool) },
  // All share its one connection.
  PGlite: { make: () => openStore(pglite) },
}

/** A schema of its own for each case. */
async function openStore(on: DatabaseLike): Promise<TransactionalStoreUnderTest & { dispose(): Promise<void> }> {
  const db = database(on)
  const schema = `webhooks_${randomBytes(6).toString('hex')}`
  const store = postgresStore(on, { schema })
  await migrate(on, [store])
  return {
    // What is transactional has `publishStatements`.
    store: store as TransactionalStoreUnderTest['store'],
    db,
    async dispose() {
      await store.close()
      await db.query(`drop schema ${schema} cascade`)
    },
  }
}

describe.each(Object.entries(subjects))('%s', (_, subject) => {
  register(transactionalStoreSuite, subject, { describe, it })
})

test('every transactional store that is broken on purpose is caught, on Postgres', async () => {
  const broken = brokenTransactionalStores(subjects['Postgres']!)
  const { total, survivors } = await scoreMutants(transactionalStoreSuite, broken, { timeout: '60s' })
  expect(total).toBeGreaterThanOrEqual(10)
  expect(survivors).toEqual([])
}, 300_000)
