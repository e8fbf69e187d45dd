import { afterAll, expect, test } from 'vitest'
import { transact, unit } from '../../src/postgres/index.ts'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { becomeStandby, promote } from '../../../../tools/servers/standby.ts'
import { byHand } from './by-hand.ts'
import { effect, failure, insertItem, isQuiet, nothing, openWorld, watchProcess } from './world.ts'

watchProcess()
const server = await startPostgres({ maxConnections: 20 })
const world = await openWorld('kernel_standby', { url: server.url })
afterAll(() => server.stop())

const ended = { end: 'commit', statements: [], value: 1 } as const

const pool = world.openPool({ max: 4 })
const others = { pool, 'a wrapped database': byHand(world.openPool({ max: 4 })) }
const away = { code: 'STORE_UNAVAILABLE', retryable: true, details: { reason: 'refused' }, cause: { code: '25006' } }

test.each(Object.entries(others))('%s on a standby is away, nothing has happened, and comes back', async (_, db) => {
  await becomeStandby(server)
  expect(await failure(unit(db, { open: [insertItem('a')], work: async () => ended }))).toMatchObject(away)
  const label = effect('a')
  expect(await failure(transact(db, async () => ({ value: 1, effects: [label] })))).toMatchObject(away)
  // The work's own error is its own matter.
  const own = transact(db, async (tx) => ({ value: await tx.query("insert into items(sku) values ('a')") }))
  expect(await failure(own)).toMatchObject({ code: '25006' })
  // What only reads is served, on the connections that were refused.
  expect(await transact(db, async (tx) => ({ value: (await tx.query('select 7 as n')).rows }))).toEqual([{ n: 7 }])
  expect(await world.committed()).toEqual(nothing)

  await promote(server)
  expect(await transact(db, async () => ({ value: 1, effects: [label] }))).toBe(1)
  await world.clear()
})

test('a connection whose statement was refused goes on', async () => {
  const one = world.openPool({ max: 1 })
  const pidOf = async (): Promise<unknown> => (await one.query('select pg_backend_pid()')).rows
  const pid = await pidOf()
  await one.query('set default_transaction_read_only = on')
  expect(await failure(transact(one, async () => ({ value: 1, effects: [effect('a')] })))).toMatchObject(away)
  await isQuiet(one)
  expect(await pidOf()).toEqual(pid)
})
