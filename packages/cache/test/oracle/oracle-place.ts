import { Cluster, Redis } from 'ioredis'
import pg from 'pg'
import { createClient } from 'redis'
import type { CacheOptions, CacheStore } from '@keelson/cache'
import { postgresLog, postgresStore } from '@keelson/cache/postgres'
import { redisStore } from '@keelson/cache/redis'

/** Where the nodes of one oracle find what they share. Plain data: it goes to other processes. */
export interface OraclePlace {
  readonly store: 'ioredis' | 'node-redis' | 'cluster' | 'postgres'
  /** Of the cache, of its keys and of its schema. */
  readonly name: string
  /** Of a Redis; of a Cluster those of all its nodes. */
  readonly redisUrls?: readonly string[]
  /** With a Redis store: of its log. */
  readonly databaseUrl?: string
  /** By transactions that change the table `truth` and drop; else by `invalidate` after the change. */
  readonly drops?: boolean
}

/** Lost connections come back at once: what is measured is our own part. */
const RECONNECT_MS = 50

/** What is open of a place. */
export interface OpenPlace extends Pick<CacheOptions, 'name' | 'store' | 'log'> {
  /** Where there is a database. */
  readonly db?: pg.Pool
  /** Ends the connection to Redis. */
  end(): void
}

/** The store and the log of this place. */
export async function openPlace(place: OraclePlace): Promise<OpenPlace> {
  const { name, databaseUrl } = place
  const db = databaseUrl === undefined ? undefined : new pg.Pool({ connectionString: databaseUrl, max: 8 })
  db?.on('error', () => {})
  if (place.store === 'postgres') return { name, store: postgresStore(db!, { schema: name }), db: db!, end() {} }
  const redis = { name, ...(await openRedis(place)) }
  return db === undefined ? redis : { ...redis, db, log: postgresLog(db, { schema: name }) }
}

async function openRedis({ store, name, redisUrls = [] }: OraclePlace): Promise<{ store: CacheStore; end(): void }> {
  const url = redisUrls[0]!
  const o = { prefix: name }
  if (store === 'cluster') {
    const client = new Cluster([...redisUrls], { clusterRetryStrategy: () => RECONNECT_MS })
    client.on('error', () => {})
    return { store: redisStore(client, o), end: () => client.disconnect() }
  }
  if (store === 'node-redis') {
    const client = createClient({ url, socket: { reconnectStrategy: () => RECONNECT_MS } })
    client.on('error', () => {})
    return { store: redisStore(await client.connect(), o), end: () => client.destroy() }
  }
  const client = new Redis(url, { retryStrategy: () => RECONNECT_MS })
  client.on('error', () => {})
  return { store: redisStore(client, o), end: () => client.disconnect() }
}
