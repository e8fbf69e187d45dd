import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { createAsk, database } from '../../src/postgres/index.ts'
import { openTestSchema } from '../../../../tools/servers/test-schema.ts'
import { watchProcess } from './world.ts'

watchProcess()

test.each(['repeatable read', 'serializable'])(
  'statements that wait for one row all succeed where the default is %s',
  async (isolation) => {
    await using opened = openTestSchema(inject('databaseUrl'), 'ask')
    const { pool: admin, schema } = opened
    await admin.query(`create schema ${schema}`)
    await admin.query(`create table ${schema}.counter as select 0 as n`)
    const options = `-c default_transaction_isolation=${isolation.replace(' ', String.raw`\ `)}`
    const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 20, options })
    const ask = createAsk(database(pool))
    // Between what it sees and what it writes there is time for the others.
    const text = `update ${schema}.counter set n = n + (select 1 from pg_sleep(0.01)) returning n`
    const count = async (): Promise<number> => (await ask<{ n: number }>({ text, name: 'count' }))[0]!.n
    try {
      for (const before of [0, 40]) {
        const counted = await Promise.all(Array.from({ length: 40 }, count))
        expect(counted.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => before + i + 1))
      }
    } finally {
      await pool.end()
    }
  },
)

test('a connection that the server has ended for its idleness is replaced', async () => {
  const pool = new pg.Pool({
    connectionString: inject('databaseUrl'),
    max: 1,
    options: '-c idle_session_timeout=700',
  })
  pool.on('error', () => {})
  const ask = createAsk(database(pool))
  try {
    await ask({ text: 'select 1' })
    // The process stands still: the goodbye is there when the next statement goes.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_000)
    expect(await ask<{ n: number }>({ text: 'select 2 as n' })).toEqual([{ n: 2 }])
  } finally {
    await pool.end()
  }
})
