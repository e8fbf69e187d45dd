import { afterAll, expect, inject, test } from 'vitest'
import { migrate, transact } from '../../src/postgres/index.ts'
import { startPgbouncer } from '../../../../tools/servers/pgbouncer.ts'
import { effect, openWorld, watchProcess } from './world.ts'
import pg from 'pg'

watchProcess()
const world = await openWorld('kernel_pgbouncer')
const { hostname, port, username, pathname } = new URL(inject('databaseUrl'))
const bouncer = await startPgbouncer({
  host: hostname,
  port: Number(port || 5432),
  user: decodeURIComponent(username),
  database: pathname.slice(1),
})
/** More clients than pgbouncer has connections: each transaction meets another backend. */
const pool = new pg.Pool({ connectionString: bouncer.url, max: 20 })
afterAll(async () => {
  await pool.end()
  await bouncer.stop()
})

test('pgbouncer in transaction mode: units and migrations keep nothing in a session', async () => {
  const tables = { package: 'x', id: '0001', statements: ['create table {schema}.notes (n int)'] }
  await migrate(pool, [tables], { schema: world.schema })
  const one = (n: number): Promise<unknown> =>
    transact(pool, async (tx) => {
      const { rows } = await tx.query('select pg_backend_pid() as pid')
      await tx.query(`insert into ${world.schema}.notes values ($1)`, [n])
      const statements = () => [{ text: `insert into ${world.schema}.effects(label) values ($1)`, values: [`e${n}`] }]
      return { value: (rows[0] as { pid: number }).pid, effects: [effect('', { statements })] }
    })
  const pids = await Promise.all(Array.from({ length: 100 }, (_, n) => one(n)))
  expect(new Set(pids).size).toBeLessThanOrEqual(4)
  expect((await world.committed()).effects.length).toBe(100)
  const { rows } = await world.pool.query('select count(*)::int as n from notes')
  expect(rows).toEqual([{ n: 100 }])
})
