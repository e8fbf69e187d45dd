import { once } from 'node:events'
import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import pg from 'pg'
import { createClient } from 'redis'
import type { IdempotencyStore } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { redisStore, type RedisStoreOptions } from '@keelson/idempotency/redis'

/** The clients under test. */
export type StoreKind = 'ioredis 6' | 'ioredis 5' | 'node-redis 6' | 'Postgres'

/** A store over connections of its own: another process, as far as the server can tell. */
export interface OpenedStore extends AsyncDisposable {
  readonly store: IdempotencyStore
}

/** Lost connections come back at once: what is measured is our own part. */
const RECONNECT_MS = 50
const POOL = { max: 4, connectionTimeoutMillis: 10_000 }

/** A store at `url`. `space` is its prefix or schema; the schema must have been migrated. Also without a server. */
export async function openStore(
  kind: StoreKind,
  url: string,
  space: string,
  options: RedisStoreOptions = {},
): Promise<OpenedStore> {
  switch (kind) {
    case 'ioredis 6':
    case 'ioredis 5': {
      const settings = { retryStrategy: () => RECONNECT_MS }
      const client = kind === 'ioredis 6' ? new Redis(url, settings) : new Redis5(url, settings)
      client.on('error', () => {})
      const store = redisStore(client, { prefix: space, ...options })
      return {
        store,
        async [Symbol.asyncDispose]() {
          await store.close?.()
          if (client.status === 'end') return
          client.disconnect()
          await once(client, 'end')
        },
      }
    }
    case 'node-redis 6': {
      const client = createClient({ url, socket: { reconnectStrategy: () => RECONNECT_MS } })
      client.on('error', () => {})
      const connecting = client.connect().catch(() => {})
      const store = redisStore(client, { prefix: space, ...options })
      return {
        store,
        async [Symbol.asyncDispose]() {
          await store.close?.()
          client.destroy()
          await connecting
        },
      }
    }
    case 'Postgres': {
      const pool = new pg.Pool({ connectionString: url, ...POOL })
      pool.on('error', () => {})
      return { store: postgresStore(pool, { schema: space }), [Symbol.asyncDispose]: () => pool.end() }
    }
  }
}
