import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { afterAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { isStoreFailure, type Database } from '../../src/index.ts'
import type { DatabaseLike } from '../../src/postgres/index.ts'
import { brokenDatabase, virtualClock, type FaultPlan } from '../../src/testing/index.ts'

const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 1 })
const pglite = new PGlite()
afterAll(() => Promise.all([pool.end(), pglite.close()]))

/** Rows by their number; a row twice is one row. */
const CREATE = 'create table if not exists broken_database (n int not null); delete from broken_database'
const insert = (n: number) => ['insert into broken_database values ($1)', [n]] as const

const databases: [string, DatabaseLike][] = [
  ['Postgres', pool],
  ['PGlite', pglite],
]

describe.each(databases)('%s', (_, db) => {
  beforeEach(() => ('exec' in db ? db.exec(CREATE) : (db.query(CREATE) as Promise<unknown>)))

  const rows = async (): Promise<number[]> =>
    (await db.query('select n from broken_database order by n')).rows.map(({ n }) => n as number)
  const broken = (plan: FaultPlan): Database => brokenDatabase(db, plan)
  const storeFailure = expect.toSatisfy(isStoreFailure)

  test('calls that are not named pass untouched', async () => {
    const database = broken({})
    await database.query(...insert(1))
    expect(
      await database.transaction(async (tx) => {
        await tx.query(...insert(2))
        return 'value'
      }),
    ).toBe('value')
    expect(await rows()).toEqual([1, 2])
  })

  test('the n-th call is refused before it is sent', async () => {
    const database = broken({ 2: 'refuse' })
    await database.query(...insert(1))
    await expect(database.query(...insert(2))).rejects.toEqual(storeFailure)
    await database.query(...insert(3))
    expect(await rows()).toEqual([1, 3])
  })

  test('a lost reply was done, also one that failed', async () => {
    const database = broken({ 1: 'lose reply', 2: 'lose reply' })
    await expect(database.query(...insert(1))).rejects.toEqual(storeFailure)
    await expect(database.query('select 1/0')).rejects.toEqual(storeFailure)
    expect(await rows()).toEqual([1])
  })

  test('a doubled call is done twice', async () => {
    await broken({ 1: 'double' }).query(...insert(1))
    expect(await rows()).toEqual([1, 1])
  })

  test('a slow call is sent later', async () => {
    const clock = virtualClock()
    const answer = broken({ 1: { slowMs: 100, clock } }).query(...insert(1))
    await clock.advance(99)
    expect(await rows()).toEqual([])
    await clock.advance(1)
    await answer
    expect(await rows()).toEqual([1])
  })

  test('a call that hangs is never sent', async () => {
    let answered = false
    void broken({ 1: 'hang' })
      .query(...insert(1))
      .finally(() => (answered = true))
    expect(await rows()).toEqual([])
    expect(answered).toBe(false)
  })

  test('a function sees the number and the text of each call', async () => {
    const seen: [number, string][] = []
    const database = broken((call, text) => void seen.push([call, text]))
    await database.query('select 1')
    await database.transaction(async (tx) => tx.query('select 2'))
    expect(seen).toEqual([
      [1, 'select 1'],
      [2, 'BEGIN'],
      [3, 'select 2'],
      [4, 'COMMIT'],
    ])
  })

  test.each(['refuse', 'lose reply'] as const)(
    'a connection that is gone (%s) takes its transaction along, whoever swallows the error',
    async (fault) => {
      const database = broken({ 2: fault })
      const work = database.transaction(async (tx) => {
        await tx.query(...insert(1)).catch(() => {})
        await tx.query(...insert(2)).catch(() => {})
        return 'value'
      })
      await expect(work).rejects.toEqual(storeFailure)
      expect(await rows()).toEqual([])
    },
  )

  test('a BEGIN that is refused opens nothing', async () => {
    let ran = false
    const work = broken({ 1: 'refuse' }).transaction(async () => (ran = true))
    await expect(work).rejects.toEqual(storeFailure)
    expect(ran).toBe(false)
  })

  test.each([
    ['refuse', []],
    ['lose reply', [1]],
  ] as const)('a COMMIT with the fault %j leaves %j', async (fault, left) => {
    const work = broken((_, text) => (text === 'COMMIT' ? fault : undefined)).transaction((tx) =>
      tx.query(...insert(1)),
    )
    await expect(work).rejects.toEqual(storeFailure)
    expect(await rows()).toEqual(left)
  })

  test('a COMMIT that hangs did not happen, and keeps no connection', async () => {
    const asked = Promise.withResolvers<void>()
    let answered = false
    void broken((_, text) => (text === 'COMMIT' ? (asked.resolve(), 'hang') : undefined))
      .transaction((tx) => tx.query(...insert(1)))
      .finally(() => (answered = true))
    await asked.promise
    expect(await rows()).toEqual([])
    expect(answered).toBe(false)
  })
})
