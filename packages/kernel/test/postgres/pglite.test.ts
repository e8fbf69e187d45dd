import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { database, migrate, printMigrations, transact, unit } from '../../src/postgres/index.ts'
import type { Tx } from '../../src/index.ts'
import { effect, failure, insertEffect, insertItem, nothing, watchProcess } from './world.ts'

watchProcess()
const db = new PGlite()
await db.exec(`
  create table items (sku text not null unique, size int);
  create table effects (label text not null, item text references items(sku) deferrable initially deferred)`)
afterAll(() => (db.closed ? undefined : db.close()))
beforeEach(() => db.exec('delete from effects; delete from items'))

async function committed(): Promise<{ items: string[]; effects: string[] }> {
  const items = await db.query<{ sku: string }>('select sku from items order by sku')
  const effects = await db.query<{ label: string }>('select label from effects order by label')
  return { items: items.rows.map(({ sku }) => sku), effects: effects.rows.map(({ label }) => label) }
}

const commit = <T>(value: T, ...labels: string[]) => ({
  end: 'commit' as const,
  statements: labels.map(insertEffect),
  value,
})
const add = (tx: Tx, sku: string): Promise<unknown> => tx.query('insert into items(sku) values ($1)', [sku])
const within = <T>(work: (tx: Tx) => Promise<T>): Promise<T> =>
  unit(db, { open: [], work: async (tx) => commit(await work(tx)) })

test('it is known by its shape', () => {
  expect(database(db).kind).toBe('pglite')
})

test('opens, works and closes in one transaction', async () => {
  const value = await unit(db, {
    open: [insertItem('open'), { text: 'select sku from items' }],
    async work(tx, opened) {
      expect(opened.map(({ rows }) => rows)).toEqual([[], [{ sku: 'open' }]])
      await add(tx, 'work')
      return commit('done', 'a', 'b')
    },
  })
  expect(value).toBe('done')
  expect(await committed()).toEqual({ items: ['open', 'work'], effects: ['a', 'b'] })
})

test.each<[string, object, object]>([
  ['fails', { text: 'select 1/0' }, { code: '22012' }],
  [
    'has two commands',
    { text: 'select 1; select 2', kind: 'test.row' },
    {
      code: 'EFFECT_INVALID',
      message: `effect 'test.row', statement 'select 1; select 2' must be exactly one SQL statement`,
    },
  ],
  [
    'has a value that cannot be bound',
    {
      text: 'select $1::jsonb',
      values: [
        (() => {
          const cycle: { self?: unknown } = {}
          return (cycle.self = cycle)
        })(),
      ],
      kind: 'test.row',
    },
    {
      code: 'EFFECT_INVALID',
      message: expect.stringMatching(/^effect 'test\.row'.*: a value cannot be bound: .*circular/),
    },
  ],
])('a statement in the middle of the tail that %s leaves nothing', async (_, bad, expected) => {
  const failing = unit(db, {
    open: [],
    async work(tx) {
      await add(tx, 'tea')
      return { end: 'commit', statements: [insertEffect('a'), bad as never, insertEffect('b')], value: 1 }
    },
  })
  expect(await failure(failing)).toMatchObject(expected)
  expect(await committed()).toEqual(nothing)
  expect(await within(async () => 'again')).toBe('again')
})

test('a constraint that is checked at COMMIT fails the unit with its own error', async () => {
  const statements = [{ text: `insert into effects values ('a', 'gin')` }]
  expect(
    await failure(unit(db, { open: [], work: async () => ({ end: 'commit', statements, value: 1 }) })),
  ).toMatchObject({ code: '23503' })
  expect(await committed()).toEqual(nothing)
})

test('a rollback returns its value, a throw its own error; nothing stays', async () => {
  const value = await unit(db, {
    open: [],
    async work(tx) {
      await add(tx, 'tea')
      return { end: 'rollback', value: 'no' }
    },
  })
  expect(value).toBe('no')
  const own = new Error('own')
  const throwing = within(async (tx) => {
    await add(tx, 'tea')
    throw own
  })
  expect(await failure(throwing)).toBe(own)
  expect(await committed()).toEqual(nothing)
})

describe('COMMIT of an aborted transaction is never success', () => {
  test.each([0, 1])('a swallowed error comes out, with %d effects', async (effects) => {
    const failing = unit(db, {
      open: [],
      async work(tx) {
        await add(tx, 'tea')
        await tx.query('select 1/0').catch(() => {})
        return commit(1, ...Array<string>(effects).fill('a'))
      },
    })
    expect(await failure(failing)).toMatchObject({ code: '22012' })
    expect(await committed()).toEqual(nothing)
  })

  test('an error that was swallowed on the raw client comes out too', async () => {
    const failing = within(async (tx) => {
      await add(tx, 'tea')
      await (tx.raw as Tx).query('select 1/0').catch(() => {})
    })
    expect(await failure(failing)).toMatchObject({ code: '25P02' })
    expect(await committed()).toEqual(nothing)
  })

  test('a transaction that was ended on the raw client is told so, and no effect happens', async () => {
    const failing = within(async (tx) => {
      await (tx.raw as { exec(text: string): Promise<unknown> }).exec('commit; begin')
    })
    expect(await failure(failing)).toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringContaining('ended the transaction'),
    })
    expect(await committed()).toEqual(nothing)
  })

  test('a tail that begins with ROLLBACK TO SAVEPOINT commits what was before', async () => {
    await unit(db, {
      open: [insertItem('kept'), { text: 'savepoint s' }],
      async work(tx) {
        await tx.query('select 1/0').catch(() => {})
        return { end: 'commit', statements: [{ text: 'rollback to savepoint s' }, insertEffect('a')], value: 1 }
      },
    })
    expect(await committed()).toEqual({ items: ['kept'], effects: ['a'] })
  })
})

describe('its tx', () => {
  test('forwards the third argument: an ORM reads rows as arrays and with its own parsers', async () => {
    // What Drizzle gives PGlite; over a Tx that forwards two arguments the rows would be objects.
    const options = { rowMode: 'array', parsers: { 23: (text: string) => `int ${text}` } }
    const query = (tx: Tx): Promise<{ rows: unknown[] }> =>
      (tx.query as (...args: unknown[]) => Promise<{ rows: unknown[] }>)('select $1::int as a, 2 as b', [1], options)
    expect(await within(async (tx) => (await query(tx)).rows)).toEqual([['int 1', 'int 2']])
    expect((await query(database(db))).rows).toEqual([['int 1', 'int 2']])
  })

  test('returns the result untouched, raw is the driver’s transaction', async () => {
    await within(async (tx) => {
      expect(await tx.query('select 1 as one')).toMatchObject({
        rows: [{ one: 1 }],
        fields: [{ name: 'one', dataTypeID: 23 }],
      })
      expect(tx.raw).toMatchObject({ exec: expect.any(Function), rollback: expect.any(Function), closed: false })
    })
  })

  test('is refused after the end, and cannot end the unit', async () => {
    let kept: Tx | undefined
    await within(async (tx) => {
      kept = tx
      expect(await failure(tx.query('commit'))).toMatchObject({ code: 'INPUT_INVALID' })
    })
    expect(await failure(kept!.query('select 1'))).toMatchObject({ code: 'TX_ENDED' })
  })

  test('statements that nobody awaits are waited for, and their failure fails the unit', async () => {
    await within(async (tx) => void add(tx, 'a'))
    expect((await committed()).items).toEqual(['a'])
    expect(await failure(within(async (tx) => void add(tx, 'a')))).toMatchObject({ code: '23505' })
  })
})

test('its one connection is queued for, and work that hangs gives it back after stall', async () => {
  // Long enough to be let in first, on any machine.
  const hanging = failure(unit(db, { open: [], stall: 5_000, work: () => new Promise<never>(() => {}) }))
  const waiting = within(async () => 'next')
  expect(await hanging).toMatchObject({
    code: 'STORE_UNAVAILABLE',
    message: expect.stringMatching(/the work between two statements took over 5000 ms/),
  })
  expect(await waiting).toBe('next')
})

test('a queue that takes longer than stall is overload, and the work does not run later', async () => {
  const go = Promise.withResolvers<void>()
  const holding = within(() => go.promise)
  let ran = false
  const refused = unit(db, {
    open: [],
    stall: 50,
    work: async () => {
      ran = true
      return commit(1, 'late')
    },
  })
  expect(await failure(refused)).toMatchObject({ code: 'STORE_UNAVAILABLE', details: { reason: 'overload' } })
  go.resolve()
  await holding
  await within(async () => 1)
  expect([ran, (await committed()).effects]).toEqual([false, []])
})

test('transact: rows and effects, isolation, context', async () => {
  const value = await transact(
    db,
    async (tx, ctx) => {
      await add(tx, ctx.op!)
      const { rows } = await tx.query('show transaction_isolation')
      return { value: rows[0] as object, effects: [effect('a'), effect('b')] }
    },
    { isolation: 'serializable', op: 'tea' },
  )
  expect(value).toEqual({ transaction_isolation: 'serializable' })
  expect(await committed()).toEqual({ items: ['tea'], effects: ['a', 'b'] })
})

test('migrate applies once, and what printMigrations prints counts as applied', async () => {
  const one = {
    package: 'x',
    id: '0001_create',
    statements: ['create table {schema}.one (id int)', 'create index on {schema}.one (id)'],
  }
  const two = { package: 'x', id: '0002_more', statements: ['create table {schema}.two (id int)'] }
  expect(await migrate(db, [one], { schema: 'lite' })).toEqual({ applied: ['x/0001_create'] })
  expect(await migrate(db, [one, two], { schema: 'lite' })).toEqual({ applied: ['x/0002_more'] })
  expect(await migrate(db, [{ migrations: [one, two], schema: 'lite' }])).toEqual({ applied: [] })
  await db.exec(printMigrations([one, two], { schema: 'printed' }))
  expect(await migrate(db, [one, two], { schema: 'printed' })).toEqual({ applied: [] })
  const changed = { ...one, statements: ['create table {schema}.other (id int)'] }
  expect(await failure(migrate(db, [changed], { schema: 'lite' }))).toMatchObject({ code: 'MIGRATION_CHANGED' })
})

test('a closed one is STORE_UNAVAILABLE', async () => {
  await db.close()
  expect(await failure(unit(db, { open: [], work: async () => commit(1) }))).toMatchObject({
    code: 'STORE_UNAVAILABLE',
    details: { reason: 'refused' },
  })
})
