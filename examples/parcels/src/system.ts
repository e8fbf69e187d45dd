import { PGlite } from '@electric-sql/pglite'
import { createIdempotency, type TransactionalIdempotency } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { database, migrate, type KnownDatabase } from '@keelson/kernel/postgres'
import pg from 'pg'
import { takeDataFolder } from './data-folder.ts'
import { outboxTables } from './domain/outbox.ts'
import { shipmentTables } from './domain/shipments.ts'
import type { Environment } from './environment.ts'

/** The cores on their stores. This is the only file that knows which stores these are. */
export interface System {
  readonly db: KnownDatabase
  readonly idempotency: TransactionalIdempotency
  readonly stores: { readonly db: 'postgres' | 'pglite' }
  close(): Promise<void>
}

/** Opens the stores, brings their schema up to date and builds the cores. */
export async function openSystem(
  environment: Pick<Environment, 'DATABASE_URL' | 'DATA_DIR'> & Partial<Pick<Environment, 'STORE_TIMEOUT'>>,
): Promise<System> {
  const { db, stores, end } = await openDatabase(environment)
  try {
    const store = postgresStore(db)
    await migrate(db, [store, { schema: 'parcels', migrations: [shipmentTables, outboxTables] }])
    const idempotency = createIdempotency({ store, storeTimeout: environment.STORE_TIMEOUT ?? '250ms' })
    return {
      db,
      idempotency,
      stores,
      async close() {
        await idempotency.close()
        await end()
      },
    }
  } catch (error) {
    await end()
    throw error
  }
}

interface OpenDatabase {
  readonly db: KnownDatabase
  readonly stores: System['stores']
  end(): Promise<void>
}

async function openDatabase({
  DATABASE_URL,
  DATA_DIR,
}: Pick<Environment, 'DATABASE_URL' | 'DATA_DIR'>): Promise<OpenDatabase> {
  if (DATABASE_URL !== undefined) {
    const pool = new pg.Pool({ connectionString: DATABASE_URL, connectionTimeoutMillis: 5_000 })
    // A server that goes away is met by the next query; without a listener it would end the process.
    pool.on('error', () => {})
    return { db: database(pool), stores: { db: 'postgres' }, end: () => pool.end() }
  }
  const giveBack = DATA_DIR === undefined ? () => {} : takeDataFolder(DATA_DIR)
  const pglite = await PGlite.create(DATA_DIR)
  const end = async (): Promise<void> => {
    await pglite.close()
    giveBack()
  }
  return { db: database(pglite), stores: { db: 'pglite' }, end }
}
