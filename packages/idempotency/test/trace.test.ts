import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { postgresStore, traceIndex } from '@keelson/idempotency/postgres'
import { context, reply, type Effect } from '@keelson/kernel'
import { migrate, type DatabaseLike } from '@keelson/kernel/postgres'
import { keyRing } from './key-ring.ts'

const storeTimeout = '30s'

test('a claim of this process is told by its correlation id', async () => {
  await using idempotency = createIdempotency({ store: memoryStore(), storeTimeout })
  const call = { scope: 'm1', op: 'pay', key: 'k1' }
  await context.run({ correlationId: 'order-7' }, () => idempotency.run(call, async () => 1))
  const [claim, ...rest] = await idempotency.trace('order-7')
  expect(claim).toMatchObject({ kind: 'idempotency.claim', text: expect.stringMatching(/^pay: done, attempt 1, /) })
  expect(Math.abs(claim!.at - Date.now())).toBeLessThan(60_000)
  expect(rest).toEqual([])
  expect([await idempotency.trace('order-8'), await idempotency.trace('')]).toEqual([[], []])
})

const databases: Record<string, () => DatabaseLike & { end(): Promise<void> }> = {
  PGlite: () => {
    const db = new PGlite()
    return Object.assign(db, { end: () => db.close() })
  },
  Postgres: () => new pg.Pool({ connectionString: inject('databaseUrl') }),
}

test.each(Object.keys(databases))('on %s with what a replay of it makes sure of, by an index', async (name) => {
  const db = databases[name]!()
  const schema = `trace_${process.pid}`
  const store = postgresStore(db, { schema })
  await migrate(db, [store, { migrations: [traceIndex], schema }])
  const protect = keyRing(randomBytes(32))
  const idempotency = createIdempotency({ store, storeTimeout, protect })
  const drop: Effect = { kind: 'cache.drop', statements: () => [], replayHint: { tags: ['merchant:m1'] } }
  const call = { scope: 'm1', op: 'POST /shipments', key: 'k1' }
  for (let i = 0; i < 2; i++) {
    await context.run({ correlationId: 'order-7' }, () =>
      idempotency.transaction(call, async () => reply(201, {}, [drop])),
    )
  }
  const rows = await idempotency.trace('order-7')
  expect(rows.map(({ kind, text }) => [kind, text.replace(/operation [\da-f-]{36}/, 'operation o')])).toEqual([
    ['idempotency.claim', "POST /shipments of scope 'm1': done, attempt 1, operation o"],
    ['idempotency.effect', 'cache.drop {"tags":["merchant:m1"]}, committed by operation o'],
  ])
  const { rows: indexes } = await db.query(`select indexdef from pg_indexes where schemaname = $1`, [schema])
  expect(JSON.stringify(indexes)).toContain('idempotency_correlation')
  await idempotency.close()
  await db.query(`drop schema ${schema} cascade`)
  await db.end()
})
