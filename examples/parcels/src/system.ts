import { PGlite } from '@electric-sql/pglite'
import { createCache, memoryStore, type Caches } from '@keelson/cache'
import { postgresLog, postgresStore as postgresCache } from '@keelson/cache/postgres'
import { redisStore } from '@keelson/cache/redis'
import { createIdempotency, type TransactionalIdempotency } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { database, migrate, type KnownDatabase, type Migratable } from '@keelson/kernel/postgres'
import type { Limiter } from '@keelson/resilience/limiter'
import { postgresStore as postgresLimits } from '@keelson/resilience/postgres'
import { redisStore as redisLimits } from '@keelson/resilience/redis'
import { Redis } from 'ioredis'
import pg from 'pg'
import { takeDataFolder } from './data-folder.ts'
import { outboxTables } from './domain/outbox.ts'
import { shipmentTables } from './domain/shipments.ts'
import { readEnvironment, type Environment } from './environment.ts'
import { openBookingLimits } from './limits.ts'
import { openQuotes, type Quotes } from './quotes.ts'

/** The cores on their stores. This is the only file that knows which stores these are. */
export interface System {
  readonly db: KnownDatabase
  readonly idempotency: TransactionalIdempotency
  readonly caches: Caches
  readonly quotes: Quotes
  /** What a merchant may book in a minute. */
  readonly bookings: Limiter
  readonly stores: { readonly db: 'postgres' | 'pglite'; readonly cache: 'redis' | 'postgres' | 'memory' }
  close(): Promise<void>
}

type Stores = Pick<Environment, 'DATABASE_URL' | 'DATA_DIR' | 'REDIS_URL'>

/** Opens the stores, brings their schema up to date and builds the cores. */
export async function openSystem(given: Partial<Environment>): Promise<System> {
  const environment = { ...readEnvironment({}), ...given }
  const { STORE_TIMEOUT: storeTimeout } = environment
  const { db, kind, end: endDatabase } = await openDatabase(environment)
  const redis = openRedis(environment)
  const cache = openCache(environment, db, redis)
  const end = async (): Promise<void> => {
    await cache.caches.close()
    redis?.disconnect()
    await endDatabase()
  }
  try {
    const store = postgresStore(db)
    const limits = postgresLimits(db)
    await migrate(db, [
      store,
      limits,
      ...cache.tables,
      { schema: 'parcels', migrations: [shipmentTables, outboxTables] },
    ])
    const idempotency = createIdempotency({ store, storeTimeout, replayGuards: [cache.caches.replayGuard] })
    await cache.caches.start()
    const quotes = openQuotes(environment)
    const inServers = redis === undefined ? limits : redisLimits(redis)
    const bookings = openBookingLimits(environment, kind === 'postgres' ? inServers : undefined)
    await bookings.start()
    return {
      db,
      idempotency,
      caches: cache.caches,
      quotes,
      bookings,
      stores: { db: kind, cache: cache.kind },
      async close() {
        await quotes.pipeline.close()
        await bookings.close()
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

/** Each call meets a Redis that is away by itself; without a listener it would end the process. */
function openRedis({ REDIS_URL }: Partial<Stores>): Redis | undefined {
  return REDIS_URL === undefined ? undefined : new Redis(REDIS_URL).on('error', () => {})
}

interface OpenCache {
  readonly caches: Caches
  readonly kind: System['stores']['cache']
  readonly tables: readonly Migratable[]
}

/** Shared by all nodes: in Redis, whose drops are rows of the database until they are applied, or in the database. */
function openCache(
  { DATABASE_URL, STORE_TIMEOUT: storeTimeout }: Pick<Environment, 'DATABASE_URL' | 'STORE_TIMEOUT'>,
  db: KnownDatabase,
  redis: Redis | undefined,
): OpenCache {
  const options = { name: 'parcels', storeTimeout }
  if (redis !== undefined) {
    const log = postgresLog(db)
    return { caches: createCache({ ...options, store: redisStore(redis), log }), kind: 'redis', tables: [log] }
  }
  if (DATABASE_URL !== undefined) {
    const store = postgresCache(db)
    return { caches: createCache({ ...options, store }), kind: 'postgres', tables: [store] }
  }
  return { caches: createCache({ ...options, store: memoryStore() }), kind: 'memory', tables: [] }
}
