import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { migrate } from '@keelson/kernel/postgres'
import { ownParsers } from '../../../../tools/servers/own-parsers.ts'
import { openTestSchema } from '../../../../tools/servers/test-schema.ts'
import { createLimiter } from '../../src/limiter/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'

test('an application that reads JSON, numbers and times in its own way changes no decision', async () => {
  await using opened = openTestSchema(inject('databaseUrl'), 'limiter')
  const { schema } = opened
  await migrate(opened.pool, [postgresStore(opened.pool, { schema })])
  const pool = new pg.Pool({ connectionString: inject('databaseUrl'), types: ownParsers })
  const limiter = createLimiter({
    name: 'parsers',
    quotas: { name: 'hour', limit: 2, per: '1h' },
    store: postgresStore(pool, { schema }),
    storeTimeout: '30s',
  })
  const alice = { scope: 's', key: 'alice' }
  const first = await limiter.take(alice)
  expect(first).toMatchObject({ allowed: true, exact: true, quotas: [{ remaining: 1 }] })
  expect(await limiter.take(alice)).toMatchObject({ allowed: true, quotas: [{ remaining: 0 }] })
  expect(await limiter.take(alice)).toMatchObject({ allowed: false, quotas: [{ remaining: 0 }] })
  await limiter.refund(first)
  expect(await limiter.peek(alice)).toMatchObject({ allowed: true, quotas: [{ remaining: 1 }] })
  await limiter.close()
  await pool.end()
})
