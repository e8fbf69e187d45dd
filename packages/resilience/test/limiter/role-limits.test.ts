import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { migrate } from '@keelson/kernel/postgres'
import { openTestSchema } from '../../../../tools/servers/test-schema.ts'
import { createLimiter } from '../../src/limiter/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'

test.each(['lock_timeout', 'statement_timeout'])(
  'a call that %s of the role breaks off is answered as declared',
  async (setting) => {
    await using opened = openTestSchema(inject('databaseUrl'), 'limiter')
    const { pool: admin, schema } = opened
    await migrate(admin, [postgresStore(admin, { schema })])
    const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 4, options: `-c ${setting}=100` })
    const common = {
      quotas: { name: 'hour', limit: 100, per: '1h' },
      store: postgresStore(pool, { schema }),
      storeTimeout: '30s',
    } as const
    const local = createLimiter({ name: 'local', ...common })
    const closed = createLimiter({ name: 'closed', ...common, onStoreFailure: 'deny' })
    const alice = { scope: 's', key: 'alice' }
    const holder = await admin.connect()
    try {
      await holder.query(`begin; lock table ${schema}.rate_window, ${schema}.rate_calendar in access exclusive mode`)
      expect(await local.take(alice)).toMatchObject({ allowed: true, source: 'local', exact: false })
      expect(await local.peek(alice)).toMatchObject({ allowed: true, source: 'local' })
      expect(await closed.take(alice)).toMatchObject({ allowed: false, exact: false })
      await expect(local.reset(alice)).rejects.toMatchObject({ name: 'ResilienceError', code: 'STORE_UNAVAILABLE' })
      // The server lives: nobody else is kept from it.
      expect(await local.inspect()).toMatchObject({ store: 'up' })
    } finally {
      await holder.query('rollback')
      holder.release()
      await Promise.all([local.close(), closed.close()])
      await pool.end()
    }
  },
)
