import { Redis } from 'ioredis'
import pg from 'pg'
import { createIdempotency } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { redisStore } from '@keelson/idempotency/redis'
import type { Inbox } from '../../src/verify/index.ts'

/** An inbox with nothing of another test in it. */
export interface OpenInbox extends AsyncDisposable {
  readonly inbox: Inbox
  /** What another process needs to open the same one. */
  readonly env: Record<string, string>
}

/** Nothing here is about time: a machine that stalls is no outage. */
const patient = { wait: '30s', storeTimeout: '1m' } as const

/** Of a process that was given the `env` of an inbox. */
export function openFrom(env: NodeJS.ProcessEnv): OpenInbox {
  const { INBOX_URL = '', INBOX_NAME = '' } = env
  return INBOX_URL.startsWith('redis') ? openRedis(INBOX_URL, INBOX_NAME) : openPostgres(INBOX_URL, INBOX_NAME)
}

/** Of keys with a prefix. */
export function openRedis(url: string, prefix: string): OpenInbox {
  const client = new Redis(url)
  const inbox = createIdempotency({ store: redisStore(client, { prefix }), ...patient })
  return {
    inbox,
    env: { INBOX_URL: url, INBOX_NAME: prefix },
    async [Symbol.asyncDispose]() {
      await inbox.close()
      client.disconnect()
    },
  }
}

/** Of a schema that is there. */
export function openPostgres(url: string, schema: string): OpenInbox {
  const db = new pg.Pool({ connectionString: url })
  const inbox = createIdempotency({ store: postgresStore(db, { schema }), ...patient })
  return {
    inbox,
    env: { INBOX_URL: url, INBOX_NAME: schema },
    async [Symbol.asyncDispose]() {
      await inbox.close()
      await db.end()
    },
  }
}
