import { beforeEach, expect, test } from 'vitest'
import type { Tx } from '../../src/index.ts'
import { prepared, unit } from '../../src/postgres/index.ts'
import { failure, insertEffect, nothing, openWorld, watchProcess } from './world.ts'

watchProcess()
const world = await openWorld('kernel_prepared')
beforeEach(() => world.clear())

const insert = (label: string) => prepared('insert into effects(label) values ($1)', [label])
const commit = (label: string) => ({ end: 'commit' as const, statements: [insert(label)], value: label })

/** The names that the server of a connection knows. */
async function names(tx: Pick<Tx, 'query'>): Promise<string[]> {
  const { rows } = await tx.query('select statement from pg_prepared_statements order by 1')
  return rows.map(({ statement }: { statement: string }) => statement)
}

test('a text has one name, of at most 63 bytes, and other texts have others', () => {
  const { name, text, values } = prepared('select $1', [1])
  expect({ text, values }).toEqual({ text: 'select $1', values: [1] })
  expect(name).toMatch(/^keelson_[0-9a-f]{32}$/)
  expect(prepared('select $1').name).toBe(name)
  expect(prepared('select $2').name).not.toBe(name)
  expect(prepared('select $1')).not.toHaveProperty('values')
})

test('a named statement is parsed once a connection; one without a name is not kept', async () => {
  const pool = world.openPool({ max: 1 })
  for (const label of ['a', 'b', 'c']) await unit(pool, { open: [], work: async () => commit(label) })
  await unit(pool, { open: [insertEffect('d')], work: async () => commit('e') })
  expect((await world.committed()).effects).toEqual(['a', 'b', 'c', 'd', 'e'])
  const known = await names(pool)
  expect(known.filter((text) => text.startsWith('insert into effects'))).toHaveLength(1)
  const { rows } = await pool.query(
    "select (generic_plans + custom_plans)::int as n from pg_prepared_statements where statement like 'insert into effects%'",
  )
  expect(rows).toEqual([{ n: 4 }])
})

test('another text under a known name is not mistaken for the first, in one flight or the next', async () => {
  const pool = world.openPool({ max: 1 })
  const both = [1, 2].map((n) => ({ text: `select ${n} as n`, name: 'mine' }))
  for (const open of [both, both.toReversed(), both]) {
    const seen = await unit(pool, {
      open,
      work: async (_, opened) => ({ end: 'rollback', value: opened.map(({ rows }) => `select ${rows[0].n} as n`) }),
    })
    expect(seen).toEqual(open.map(({ text }) => text))
  }
})

test('a flight that fails leaves names that the next one can use', async () => {
  const pool = world.openPool({ max: 1 })
  const fails = (text: string) =>
    failure(
      unit(pool, {
        open: [],
        work: async () => ({
          end: 'commit',
          statements: [insert('a'), prepared(text), prepared('select 2')],
          value: 1,
        }),
      }),
    )
  for (const text of ['select 1/0', 'select no_such_column']) {
    const first = await fails(text)
    expect(await fails(text)).toMatchObject({ code: first.code })
  }
  expect(await world.committed()).toEqual(nothing)
  await unit(pool, { open: [], work: async () => commit('b') })
  expect((await world.committed()).effects).toEqual(['b'])
})

test('a server that has forgotten the names is met before the work, and then does without', async () => {
  const pool = world.openPool({ max: 1 })
  let runs = 0
  const one = (label: string) =>
    unit(pool, {
      open: [prepared('select 1 as one')],
      retries: 0,
      async work(_, opened) {
        runs++
        expect(opened[0]!.rows).toEqual([{ one: 1 }])
        return commit(label)
      },
    })
  await one('a')
  await pool.query('deallocate all')
  await one('b')
  await one('c')
  expect(runs).toBe(3)
  expect((await world.committed()).effects).toEqual(['a', 'b', 'c'])
  expect(await names(pool)).toEqual([])
})

test('all who are under way then begin again, not only the first', async () => {
  const pool = world.openPool({ max: 4 })
  const all = (prefix: string) =>
    Promise.all(
      [1, 2, 3, 4].map((n) => unit(pool, { open: [], retries: 0, work: async () => commit(`${prefix}${n}`) })),
    )
  await all('a')
  await Promise.all([1, 2, 3, 4].map(() => pool.query('deallocate all')))
  await all('b')
  expect((await world.committed()).effects).toHaveLength(8)
})

test('forgotten behind the work: it runs again, or where it must not, nothing happened', async () => {
  for (const retries of [2, 0]) {
    await world.clear()
    const pool = world.openPool({ max: 1 })
    let runs = 0
    const forgetful = () =>
      unit(pool, {
        open: [],
        retries,
        async work(tx) {
          runs++
          if (runs === 2) await tx.query('deallocate all')
          return commit(`run ${runs}`)
        },
      })
    await forgetful()
    if (retries > 0) {
      expect(await forgetful()).toBe('run 3')
      expect((await world.committed()).effects).toEqual(['run 1', 'run 3'])
    } else {
      expect(await failure(forgetful())).toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
      expect((await world.committed()).effects).toEqual(['run 1'])
      expect(await forgetful()).toBe('run 3')
    }
  }
})

test('a table that was altered under a prepared statement costs one more try', async () => {
  const pool = world.openPool({ max: 1 })
  await pool.query('create table altered (a int); insert into altered values (1)')
  const read = () =>
    unit(pool, {
      open: [prepared('select * from altered')],
      work: async (_, [found]) => ({ end: 'rollback', value: found!.rows }),
    })
  expect(await read()).toEqual([{ a: 1 }])
  await pool.query('alter table altered add column b int')
  expect(await read()).toEqual([{ a: 1, b: null }])
})
