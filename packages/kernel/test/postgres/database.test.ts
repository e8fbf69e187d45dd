import pg from 'pg'
import { expect, test } from 'vitest'
import type { Database } from '../../src/index.ts'
import { database, transact, unit, type DatabaseLike } from '../../src/postgres/index.ts'
import { failure, insertItem, openWorld, watchProcess } from './world.ts'

watchProcess()
const world = await openWorld('kernel_database')

const byHand: Database & { kind: string } = {
  kind: 'mine',
  query: async () => ({ rows: [] }),
  transaction: (work) => work(byHand),
}

test('a pg Pool is known by its shape, also of another class and behind an own subclass', () => {
  class OwnPool extends pg.Pool {}
  expect([database(world.pool).kind, database(new OwnPool()).kind]).toEqual(['pg', 'pg'])
})

test('an object with query and transaction is a Database wrapped by hand, whatever else it says of itself', () => {
  expect(database(byHand).kind).toBe('custom')
})

test('what was asked before is the same object, and a known database stays itself', () => {
  const known = database(world.pool)
  expect(database(world.pool)).toBe(known)
  expect(database(known)).toBe(known)
  expect(database(database(byHand))).toBe(database(byHand))
})

const GOT = 'database: "db" must be a pg Pool, a PGlite or an object with query() and transaction()'

test.each<[string, () => unknown, string]>([
  ['undefined', () => undefined, '(got undefined)'],
  ['null', () => null, '(got null)'],
  ['a connection string', () => 'postgres://localhost/x', `(got 'postgres://localhost/x')`],
  ['an object', () => ({ query() {} }), '(got an object)'],
  ['a function, as other drivers have', () => () => {}, '(got a function)'],
  [
    'a single pg Client',
    () => new pg.Client(),
    '(a single pg Client cannot open transactions side by side: pass a Pool)',
  ],
])('%s is refused with what was found', async (_, make, message) => {
  const db = make() as DatabaseLike
  const expected = { name: 'KernelError', code: 'OPTION_INVALID', message: `${GOT} ${message}` }
  expect(() => database(db)).toThrow(expect.objectContaining(expected))
  expect(await failure(unit(db, { open: [], work: async () => ({ end: 'rollback', value: 1 }) }))).toMatchObject(
    expected,
  )
  expect(await failure(transact(db, async () => ({ value: 1 })))).toMatchObject(expected)
})

test('a pool in which pg reads bytes as text is no store’s', async () => {
  const pool = world.openPool({ max: 1, binary: true } as pg.PoolConfig)
  const statement = { text: 'select $1::bytea as b, 1790000000001::float8 as f', values: [Buffer.from([255])] }
  const [read] = (await pool.query<{ b: unknown; f: number }>(statement)).rows
  expect(read!.b).not.toEqual(Buffer.from([255]))
  expect(read!.f).not.toBe(1_790_000_000_001)
  expect(() => database(pool)).toThrow(
    expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining('binary: true') as string }),
  )
})

test('a checked-out client and an open tx are no database', async () => {
  const client = await world.pool.connect()
  expect(() => database(client as never)).toThrow(/a single pg Client/)
  client.release()
  await unit(world.pool, {
    open: [],
    work: async (tx) => {
      expect(() => database(tx as never)).toThrow(/got an object/)
      return { end: 'rollback', value: 1 }
    },
  })
})

test('its query forwards all arguments, its transaction commits, or rolls back with the error of its work', async () => {
  const db = database(world.pool)
  const config = { text: 'select $1::int as n', rowMode: 'array' } as never
  expect((await db.query(config, [7])).rows).toEqual([[7]])
  await db.transaction(async (tx) => {
    const { text, values } = insertItem('tea')
    await tx.query(text, values)
  })
  const own = new Error('own')
  const failing = db.transaction(async (tx) => {
    await tx.query('insert into items(sku) values ($1)', ['gin'])
    throw own
  })
  expect(await failure(failing)).toBe(own)
  expect((await world.committed()).items).toEqual(['tea'])
})
