import pg from 'pg'
import { afterAll, expect, inject, test } from 'vitest'
import { createWebhooks } from '@keelson/webhooks'
import { postgresStore } from '@keelson/webhooks/postgres'
import { openPostgres } from './open-postgres.ts'

const opened = await openPostgres()
const { pool: admin, schema } = opened
afterAll(() => opened[Symbol.asyncDispose]())

const scope = 'a'
const broken = { name: 'WebhookError', code: 'STORE_UNAVAILABLE', retryAfter: expect.any(Number) }

test.each(['lock_timeout', 'statement_timeout'])(
  'what %s of the role breaks off says that the store is away',
  async (setting) => {
    const endpoint = { scope, url: 'https://example.com/hook' }
    const ours = { encryption: [{ id: 'k1', key: Buffer.alloc(32, 7) }], storeTimeout: '30s' } as const
    const first = createWebhooks({ ...ours, store: opened.store })
    const { id } = await first.endpoints.create(endpoint)
    const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 4, options: `-c ${setting}=100` })
    const webhooks = createWebhooks({ ...ours, store: postgresStore(pool, { schema }) })
    const holder = await admin.connect()
    try {
      await holder.query(`begin; lock table ${schema}.webhook_event, ${schema}.webhook_lane in access exclusive mode`)
      await expect(webhooks.send('a.b', 1, { scope })).rejects.toMatchObject(broken)
      await expect(webhooks.endpoints.update({ scope, id, set: { types: ['a'] } })).rejects.toMatchObject(broken)
      await expect(webhooks.endpoints.create(endpoint)).rejects.toMatchObject(broken)
    } finally {
      await holder.query('rollback')
      holder.release()
      await Promise.all([webhooks.close(), first.close()])
      await pool.end()
    }
  },
)
