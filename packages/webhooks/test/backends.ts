import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { Redis } from 'ioredis'
import pg from 'pg'
import { inject } from 'vitest'
import { migrate, type DatabaseLike } from '@keelson/kernel/postgres'
import { memoryStore, type WebhookStore } from '@keelson/webhooks'
import { postgresStore } from '@keelson/webhooks/postgres'
import { redisStore } from '@keelson/webhooks/redis'

/** Where webhooks are kept, empty: a server's corner with a name of its own. */
export interface Backend extends AsyncDisposable {
  /** A store as one process opens it; the same rows for each. */
  open(): WebhookStore
  /** Where business rows live too; undefined for a store without transactions. */
  readonly db?: DatabaseLike
}

/** Each in real time, opened for one test. */
export const backends: Readonly<Record<string, () => Promise<Backend>>> = {
  async memory() {
    const store = memoryStore()
    return { open: () => store, async [Symbol.asyncDispose]() {} }
  },
  Redis: () => redisBackend(inject('redisUrl')),
  Postgres: () => postgresBackend(inject('databaseUrl')),
  async PGlite() {
    const db = new PGlite()
    await migrate(db, [postgresStore(db)])
    return { db, open: () => postgresStore(db), [Symbol.asyncDispose]: () => db.close() }
  },
}

/** In the Redis of `url`. */
export async function redisBackend(url: string): Promise<Backend> {
  const client = new Redis(url, { retryStrategy: () => 50 })
  client.on('error', () => {})
  const prefix = `webhooks_${randomBytes(6).toString('hex')}`
  return {
    open: () => redisStore(client, { prefix }),
    async [Symbol.asyncDispose]() {
      client.disconnect()
    },
  }
}

/** In a schema of the Postgres of `url`; `through` is another way to it, for the store alone. */
export async function postgresBackend(url: string, through: string = url): Promise<Backend> {
  const schema = `webhooks_${randomBytes(6).toString('hex')}`
  const admin = new pg.Pool({ connectionString: url, max: 2 })
  const db = new pg.Pool({ connectionString: through, max: 8, options: `-c search_path=${schema}` })
  for (const pool of [admin, db]) pool.on('error', () => {})
  await migrate(admin, [postgresStore(admin, { schema })])
  return {
    db,
    open: () => postgresStore(db, { schema }),
    async [Symbol.asyncDispose]() {
      await db.end()
      await admin.query(`drop schema ${schema} cascade`)
      await admin.end()
    },
  }
}
