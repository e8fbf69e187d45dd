import pg from 'pg'
import { afterAll, expect, inject, test } from 'vitest'
import { postgresLog, postgresStore } from '@keelson/cache/postgres'
import { transact } from '@keelson/kernel/postgres'
import { startPgbouncer } from '../../../../tools/servers/pgbouncer.ts'
import { openPostgres } from './databases.ts'
import { dropRow, LIMITS, load, NAME, read, refOf } from './steps.ts'

const opened = await openPostgres()
const { hostname, port, username, pathname } = new URL(inject('databaseUrl'))
const bouncer = await startPgbouncer({
  host: hostname,
  port: Number(port || 5432),
  user: decodeURIComponent(username),
  database: pathname.slice(1),
})
/** More clients than pgbouncer has connections: each transaction meets another backend. */
const pool = new pg.Pool({ connectionString: bouncer.url, max: 20 })
pool.on('error', () => {})
afterAll(async () => {
  await pool.end()
  await bouncer.stop()
  await opened[Symbol.asyncDispose]()
})

test('pgbouncer in transaction mode: nothing is kept in a session', async () => {
  const store = postgresStore(pool, { schema: opened.schema })
  const log = postgresLog(pool, { schema: opened.schema })
  const tier = store.open(NAME, LIMITS)
  const kinds = await Promise.all(
    Array.from({ length: 60 }, async (_, i) => {
      const ref = refOf(`key ${i}`)
      const stored = await (await load(tier, ref)).fill()
      const before = (await read(tier, ref)).kind
      await transact(pool, async () => ({
        value: undefined,
        effects: [store, log].map((to) => ({
          kind: 'cache.drop',
          statements: () => [to.statement([dropRow(ref.declared[0]!)])],
        })),
      }))
      return [stored, before, (await read(tier, ref)).kind].join()
    }),
  )
  expect(new Set(kinds)).toEqual(new Set(['true,hit,miss']))
  expect((await log.pending(NAME)).length).toBe(60)
  expect(await log.claim(NAME, { olderThanMs: 0, limit: 100 }, async () => {})).toBe(60)
})
