import { PGlite } from '@electric-sql/pglite'
import type { Audit } from '@keelson/audit'
import { postgresStore as postgresAudit } from '@keelson/audit/postgres'
import { createCache, memoryStore, type Caches } from '@keelson/cache'
import { postgresLog, postgresStore as postgresCache } from '@keelson/cache/postgres'
import { redisStore } from '@keelson/cache/redis'
import { createIdempotency, type TransactionalIdempotency } from '@keelson/idempotency'
import { postgresStore, traceIndex } from '@keelson/idempotency/postgres'
import type { Component, Logger } from '@keelson/kernel'
import { database, migrate, type KnownDatabase, type Migratable } from '@keelson/kernel/postgres'
import type { Limiter } from '@keelson/resilience/limiter'
import { postgresStore as postgresLimits } from '@keelson/resilience/postgres'
import { redisStore as redisLimits } from '@keelson/resilience/redis'
import { postgresStore as postgresSync } from '@keelson/sync/postgres'
import { postgresStore as postgresWebhooks } from '@keelson/webhooks/postgres'
import type { Verifier } from '@keelson/webhooks/verify'
import { Redis } from 'ioredis'
import pg from 'pg'
import { openAudit } from './audit.ts'
import { openSync, type ParcelSync } from './couriers.ts'
import { openCarrierEvents } from './carrier-events.ts'
import { takeDataFolder } from './data-folder.ts'
import { deliveryColumns, originColumns, shipmentTables } from './domain/shipments.ts'
import { readEnvironment, type Environment } from './environment.ts'
import { openBookingLimits } from './limits.ts'
import { openLogger } from './logger.ts'
import { openProtection } from './protect.ts'
import { openQuotes, type Quotes } from './quotes.ts'
import { openReads } from './reads.ts'
import { shipmentRows } from './shipment-rows.ts'
import { openWebhooks, type ParcelWebhooks } from './webhooks.ts'

/** The cores on their stores. This is the only file that knows which stores these are. */
export interface System {
  readonly logger: Logger
  readonly db: KnownDatabase
  /** For what is read outside a transaction. */
  readonly reads: ReturnType<typeof openReads>
  readonly idempotency: TransactionalIdempotency
  readonly caches: Caches
  readonly quotes: Quotes
  readonly webhooks: ParcelWebhooks
  /** Whose events the carrier's are. */
  readonly carrierEvents: Verifier
  /** Who did what. */
  readonly audit: Audit
  /** What couriers carry, and write down without a network. */
  readonly sync: ParcelSync
  /** What a merchant may book in a minute. */
  readonly bookings: Limiter
  readonly stores: { readonly db: 'postgres' | 'pglite'; readonly cache: 'redis' | 'postgres' | 'memory' }
  close(): Promise<void>
}

type Stores = Pick<Environment, 'DATABASE_URL' | 'DATA_DIR' | 'REDIS_URL'>

/** What has a part in the answer to `explain`. */
export function componentsOf(system: System): Pick<Component, 'inspect' | 'metrics' | 'trace'>[] {
  const { reads, idempotency, caches, bookings, webhooks, audit, sync, quotes } = system
  return [shipmentRows(reads), idempotency, caches, bookings, webhooks, audit, sync, quotes.pipeline]
}

/** Opens the stores, brings their schema up to date and builds the cores. One that only looks starts no worker. */
export async function openSystem(
  given: Partial<Environment>,
  {
    logger = openLogger({ ...readEnvironment({}), ...given }),
    works = true,
  }: { logger?: Logger; works?: boolean } = {},
): Promise<System> {
  const environment = { ...readEnvironment({}), ...given }
  const { STORE_TIMEOUT: storeTimeout, DUPLICATE_WAIT: wait } = environment
  const { db, kind, end: endDatabase } = await openDatabase(environment)
  const redis = openRedis(environment)
  const cache = openCache(environment, db, redis, logger)
  const end = async (): Promise<void> => {
    await cache.caches.close()
    redis?.disconnect()
    await endDatabase()
  }
  try {
    const store = postgresStore(db)
    const limits = postgresLimits(db)
    const events = postgresWebhooks(db)
    const journal = postgresAudit(db)
    const records = postgresSync(db)
    const own = { schema: 'parcels', migrations: [shipmentTables, deliveryColumns, originColumns] }
    await migrate(db, [store, traceIndex, limits, events, journal, records, ...cache.tables, own])
    const protect = openProtection(environment)
    const replayGuards = [cache.caches.replayGuard]
    const idempotency = createIdempotency({
      store,
      storeTimeout,
      wait,
      replayGuards,
      logger,
      ...(protect === undefined ? {} : { protect }),
    })
    const quotes = openQuotes(environment)
    const inServers = redis === undefined ? limits : redisLimits(redis)
    const bookings = openBookingLimits(environment, kind === 'postgres' ? inServers : undefined)
    const webhooks = openWebhooks(environment, events, logger)
    const audit = openAudit(environment, journal, logger)
    const sync = openSync(environment, records, { caches: cache.caches, webhooks, audit, logger })
    for (const each of works ? [cache.caches, bookings, webhooks, audit, sync] : []) await each.start()
    const reads = openReads(db, environment)
    return {
      logger,
      db,
      reads,
      idempotency,
      caches: cache.caches,
      quotes,
      webhooks,
      carrierEvents: openCarrierEvents(environment),
      audit,
      sync,
      bookings,
      stores: { db: kind, cache: cache.kind },
      async close() {
        await sync.close()
        await webhooks.stop({ drain: environment.DRAIN })
        await webhooks.close()
        await audit.stop({ drain: environment.DRAIN })
        await audit.close()
        await quotes.pipeline.close()
        await bookings.close()
        await idempotency.close()
        reads.close()
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
  logger: Logger,
): OpenCache {
  const options = { name: 'parcels', storeTimeout, logger }
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
