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

/** The store and the log of this place; `db` where there is a database. */
export async function openPlace(
  place: OraclePlace,
): Promise<Pick<CacheOptions, 'name' | 'store' | 'log'> & { db?: pg.Pool }> {
  const { name, databaseUrl } = place
  const db = databaseUrl === undefined ? undefined : new pg.Pool({ connectionString: databaseUrl, max: 8 })
  db?.on('error', () => {})
  if (place.store === 'postgres') return { name, store: postgresStore(db!, { schema: name }), db: db! }
  const store = await openRedis(place)
  return db === undefined ? { name, store } : { name, store, db, log: postgresLog(db, { schema: name }) }
}

async function openRedis({ store, name, redisUrls = [] }: OraclePlace): Promise<CacheStore> {
  const url = redisUrls[0]!
  const o = { prefix: name }
  if (store === 'cluster') {
    const client = new Cluster([...redisUrls], { clusterRetryStrategy: () => RECONNECT_MS })
    client.on('error', () => {})
    return redisStore(client, o)
  }
  if (store === 'node-redis') {
    const client = createClient({ url, socket: { reconnectStrategy: () => RECONNECT_MS } })
    client.on('error', () => {})
    return redisStore(await client.connect(), o)
  }
  const client = new Redis(url, { retryStrategy: () => RECONNECT_MS })
  client.on('error', () => {})
  return redisStore(client, o)
}
