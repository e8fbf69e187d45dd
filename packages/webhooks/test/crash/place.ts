import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import pg from 'pg'
import { migrate } from '@keelson/kernel/postgres'
import type { WebhookStore } from '@keelson/webhooks'
import { postgresStore } from '@keelson/webhooks/postgres'
import { redisStore } from '@keelson/webhooks/redis'

/** A store that several processes share. */
export interface Place {
  readonly kind: 'postgres' | 'redis'
  readonly url: string
  /** A schema, or what is in front of all keys. */
  readonly name: string
}

/** The connections of one process to it. */
export interface OpenPlace extends AsyncDisposable {
  readonly store: WebhookStore
  /** With Postgres. */
  readonly db: pg.Pool | undefined
}

/** A new one on a server; what is there is left to the server's end. */
export function newPlace(kind: Place['kind'], url: string): Place {
  return { kind, url, name: `hooks_${randomUUID().slice(0, 8)}` }
}

export async function openPlace({ kind, url, name }: Place): Promise<OpenPlace> {
  if (kind === 'redis') {
    const client = new Redis(url, { retryStrategy: () => 100 })
    client.on('error', () => {})
    return {
      store: redisStore(client, { prefix: name }),
      db: undefined,
      [Symbol.asyncDispose]: async () => client.disconnect(),
    }
  }
  const db = new pg.Pool({ connectionString: url, max: 8 })
  db.on('error', () => {})
  const listen = async (): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    return client
  }
  const store = postgresStore(db, { schema: name, listen })
  await migrate(db, [store])
  return { store, db, [Symbol.asyncDispose]: async () => db.end() }
}
