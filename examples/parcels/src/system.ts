import { PGlite } from '@electric-sql/pglite'
import { createCache, memoryStore, type Caches } from '@keelson/cache'
import { postgresLog, postgresStore as postgresCache } from '@keelson/cache/postgres'
import { redisStore } from '@keelson/cache/redis'
import { createIdempotency, type TransactionalIdempotency } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { database, migrate, type KnownDatabase, type Migratable } from '@keelson/kernel/postgres'
import { Redis } from 'ioredis'
import pg from 'pg'
import { takeDataFolder } from './data-folder.ts'
import { outboxTables } from './domain/outbox.ts'
import { shipmentTables } from './domain/shipments.ts'
import { readEnvironment, type Environment } from './environment.ts'
import { openQuotes, type Quotes } from './quotes.ts'

/** The cores on their stores. This is the only file that knows which stores these are. */
export interface System {
  readonly db: KnownDatabase
  readonly idempotency: TransactionalIdempotency
  readonly caches: Caches
  readonly quotes: Quotes
  readonly stores: { readonly db: 'postgres' | 'pglite'; readonly cache: 'redis' | 'postgres' | 'memory' }
  close(): Promise<void>
}

type Stores = Pick<Environment, 'DATABASE_URL' | 'DATA_DIR' | 'REDIS_URL'>

/** Opens the stores, brings their schema up to date and builds the cores. */
export async function openSystem(given: Partial<Environment>): Promise<System> {
  const environment = { ...readEnvironment({}), ...given }
  const { STORE_TIMEOUT: storeTimeout } = environment
  const { db, kind, end } = await openDatabase(environment)
  const cache = openCache(environment, db, storeTimeout)
  try {
    const store = postgresStore(db)
    await migrate(db, [store, ...cache.tables, { schema: 'parcels', migrations: [shipmentTables, outboxTables] }])
    const idempotency = createIdempotency({ store, storeTimeout, replayGuards: [cache.caches.replayGuard] })
    await cache.caches.start()
    const quotes = openQuotes(environment)
    return {
      db,
      idempotency,
      caches: cache.caches,
      quotes,
      stores: { db: kind, cache: cache.kind },
      async close() {
        await quotes.pipeline.close()
        await idempotency.close()
        await cache.end()
        await end()
      },
    }
  } catch (error) {
    await cache.end()
    await end()
    throw error
  }
}

interface OpenDatabase {
  readonly db: KnownDatabase
  readonly kind: System['stores']['db']
  end(): Promise<void>
}

/** Opens the database alone. */
export async function openDatabase({ DATABASE_URL, DATA_DIR }: Partial<Stores>): Promise<OpenDatabase> {
  if (DATABASE_URL !== undefined) {
    const pool = new pg.Pool({ connectionString: DATABASE_URL, connectionTimeoutMillis: 5_000 })
    // A server that goes away is met by the next query; without a listener it would end the process.
    pool.on('error', () => {})
    return { db: database(pool), kind: 'postgres', end: () => pool.end() }
  }
  const giveBack = DATA_DIR === undefined ? () => {} : takeDataFolder(DATA_DIR)
  const pglite = await PGlite.create(DATA_DIR)
  const end = async (): Promise<void> => {
    await pglite.close()
    giveBack()
  }
  return { db: database(pglite), kind: 'pglite', end }
}

interface OpenCache {
  readonly caches: Caches
  readonly kind: System['stores']['cache']
  readonly tables: readonly Migratable[]
  end(): Promise<void>
}

/** Shared by all nodes: in Redis, whose drops are rows of the database until they are applied, or in the database. */
function openCache(
  { REDIS_URL, DATABASE_URL }: Partial<Stores>,
  db: KnownDatabase,
  storeTimeout: Environment['STORE_TIMEOUT'],
): OpenCache {
  const options = { name: 'parcels', storeTimeout }
  if (REDIS_URL !== undefined) {
    const redis = new Redis(REDIS_URL)
    // As with the database: each call meets it by itself.
    redis.on('error', () => {})
    const log = postgresLog(db)
    const caches = createCache({ ...options, store: redisStore(redis), log })
    const end = async (): Promise<void> => {
      await caches.close()
      redis.disconnect()
    }
    return { caches, kind: 'redis', tables: [log], end }
  }
  if (DATABASE_URL !== undefined) {
    const store = postgresCache(db)
    const caches = createCache({ ...options, store })
    return { caches, kind: 'postgres', tables: [store], end: () => caches.close() }
  }
  const caches = createCache({ ...options, store: memoryStore() })
  return { caches, kind: 'memory', tables: [], end: () => caches.close() }
}
