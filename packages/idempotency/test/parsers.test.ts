import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { context, reply } from '@keelson/kernel'
import { migrate } from '@keelson/kernel/postgres'
import { createIdempotency } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { ownParsers } from '../../../tools/servers/own-parsers.ts'
import { openTestSchema } from '../../../tools/servers/test-schema.ts'

test('an application that reads JSON, numbers and times in its own way gets the same answers', async () => {
  await using opened = openTestSchema(inject('databaseUrl'), 'idempotency')
  const { schema } = opened
  await migrate(opened.pool, [postgresStore(opened.pool, { schema })])
  const pool = new pg.Pool({ connectionString: inject('databaseUrl'), types: ownParsers })
  const idempotency = createIdempotency({ store: postgresStore(pool, { schema }), storeTimeout: '30s' })
  const call = { scope: 's', op: 'o', key: 'k', input: 1 }
  const write = () => idempotency.transaction(call, async () => reply(201, { id: 1 }))
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  await context.run({ traceparent, correlationId: 'c1' }, write)
  expect(await write()).toMatchObject({ kind: 'replayed', attempt: 1, firstTraceparent: traceparent })
  const run = () => idempotency.run({ ...call, key: 'run' }, async () => 'charged')
  await context.run({ traceparent, correlationId: 'c1' }, run)
  expect(await run()).toMatchObject({ kind: 'replayed', value: 'charged', firstTraceparent: traceparent })
  await idempotency.close()
  await pool.end()
})
