import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { postgresStore } from '@keelson/cache/postgres'
import { openPostgres } from './databases.ts'
import { LIMITS, LONG_MS, load, NAME, read, refOf } from './steps.ts'

test('the server keeps the plans of reads: planning one takes longer than running it', async () => {
  await using opened = await openPostgres()
  const connection = new pg.Pool({ connectionString: inject('databaseUrl'), max: 1 })
  try {
    const tier = postgresStore(connection, { schema: opened.schema }).open(NAME, LIMITS)
    const ref = refOf('k', ['t1', 't2', 't3', 't4', 't5'])
    await (await load(tier, ref)).fill()
    const made = 20
    for (let i = 0; i < made; i++) for (const lockMs of [0, LONG_MS]) await read(tier, ref, lockMs)
    const { rows } = await connection.query(
      `select generic_plans::int as kept from pg_prepared_statements where statement like '%found as (%'`,
    )
    expect(rows).toEqual([{ kept: expect.any(Number) }, { kept: expect.any(Number) }])
    for (const { kept } of rows) expect(kept).toBeGreaterThan(made / 2)
  } finally {
    await connection.end()
  }
})
