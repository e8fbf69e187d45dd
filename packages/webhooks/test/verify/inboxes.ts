import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { migrate } from '@keelson/kernel/postgres'
import { memoryInbox } from '../../src/verify/index.ts'
import { openPostgres, openRedis, type OpenInbox } from './open-inbox.ts'

const nothing = async (): Promise<void> => {}

/** Ours, and `createIdempotency()` on each of its stores, as it stands. */
export const inboxes: Record<string, () => Promise<OpenInbox>> = {
  memoryInbox: async () => ({ inbox: memoryInbox(), env: {}, [Symbol.asyncDispose]: nothing }),
  'idempotency, memory': async () => {
    const inbox = createIdempotency({ store: memoryStore() })
    return { inbox, env: {}, [Symbol.asyncDispose]: () => inbox.close() }
  },
  'idempotency, Redis': async () => openRedis(inject('redisUrl'), `webhooks:${randomBytes(6).toString('hex')}`),
  'idempotency, Postgres': async () => {
    const schema = `webhooks_${randomBytes(6).toString('hex')}`
    const db = new pg.Pool({ connectionString: inject('databaseUrl') })
    await migrate(db, [postgresStore(db, { schema })])
    const open = openPostgres(inject('databaseUrl'), schema)
    return {
      ...open,
      async [Symbol.asyncDispose]() {
        await open[Symbol.asyncDispose]()
        await db.query(`drop schema ${schema} cascade`)
        await db.end()
      },
    }
  },
}
