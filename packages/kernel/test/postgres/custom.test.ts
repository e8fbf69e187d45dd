import pg from 'pg'
import { afterAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { database, transact, unit } from '../../src/postgres/index.ts'
import type { Database, Tx } from '../../src/index.ts'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { byHand } from './by-hand.ts'
import { effect, failure, insertEffect, insertItem, nothing, openWorld, watchProcess } from './world.ts'

watchProcess()
const server = new URL(inject('databaseUrl'))
const proxy = await startFaultProxy({ host: server.hostname, port: Number(server.port || 5432) })
const world = await openWorld('kernel_custom', { via: proxy })
const pool = world.openPool({ max: 2 })
afterAll(() => proxy.close())
beforeEach(() => world.clear())

const db = byHand(pool)

const commit = <T>(value: T, ...labels: string[]) => ({
  end: 'commit' as const,
  statements: labels.map(insertEffect),
  value,
})
const add = (tx: Tx, sku: string): Promise<unknown> => tx.query('insert into items(sku) values ($1)', [sku])

test('opens, works and closes in one transaction, statement by statement', async () => {
  expect(database(db).kind).toBe('custom')
  const value = await transact(db, async (tx) => {
    await add(tx, 'tea')
    expect(tx.raw).toBeInstanceOf(pg.Client)
    return { value: 'done', effects: [effect('a'), effect('b')] }
  })
  expect(value).toBe('done')
  expect(await world.committed()).toEqual({ items: ['tea'], effects: ['a', 'b'] })
})

describe('COMMIT of an aborted transaction is never success', () => {
  test.each([
    ['tx', 0],
    ['tx', 1],
    ['raw', 0],
    ['raw', 1],
  ] as const)('an error that was swallowed on %s comes out, with %d effects', async (on, effects) => {
    const failing = unit(db, {
      open: [],
      async work(tx) {
        await add(tx, 'tea')
        await (on === 'tx' ? tx : (tx.raw as Tx)).query('select 1/0').catch(() => {})
        return commit(1, ...Array<string>(effects).fill('a'))
      },
    })
    expect(await failure(failing)).toMatchObject({ code: on === 'tx' ? '22012' : '25P02' })
    expect(await world.committed()).toEqual(nothing)
  })

  test.each(['commit', 'commit; begin', 'rollback'])(
    'a transaction ended by %j on raw is told so, and no effect happens',
    async (text) => {
      const failing = unit(db, {
        open: [],
        async work(tx) {
          await (tx.raw as Tx).query(text)
          return commit(1, 'a')
        },
      })
      expect(await failure(failing)).toMatchObject({
        code: 'INPUT_INVALID',
        message: expect.stringContaining('ended the transaction'),
      })
      expect(await world.committed()).toEqual(nothing)
    },
  )

  test('an error behind a savepoint is the work’s own matter', async () => {
    await unit(db, {
      open: [],
      async work(tx) {
        await add(tx, 'tea')
        await tx.query('savepoint s')
        await tx.query('select 1/0').catch(() => {})
        await tx.query('rollback to savepoint s')
        return commit(1)
      },
    })
    expect((await world.committed()).items).toEqual(['tea'])
  })
})

test.each<[string, object, object]>([
  ['fails', { text: 'select 1/0' }, { code: '22012' }],
  [
    'has two commands',
    { text: `insert into effects(label) values ('x'); insert into effects(label) values ('y')`, kind: 'test.row' },
    { code: 'EFFECT_INVALID', message: expect.stringMatching(/^effect 'test\.row'/) },
  ],
  [
    'has a value that cannot be bound',
    { text: 'select $1', values: [{ n: 1n }], kind: 'test.row' },
    { code: 'EFFECT_INVALID', message: expect.stringMatching(/^effect 'test\.row'/) },
  ],
])('a statement of the tail that %s leaves nothing', async (_, bad, expected) => {
  const failing = unit(db, {
    open: [insertItem('tea')],
    work: async () => ({ end: 'commit', statements: [insertEffect('a'), bad as never, insertEffect('b')], value: 1 }),
  })
  expect(await failure(failing)).toMatchObject(expected)
  expect(await world.committed()).toEqual(nothing)
})

test('a deferred constraint is the driver’s error, a clean failure', async () => {
  const statements = [{ text: `insert into effects values ('a', 'gin')` }]
  expect(
    await failure(unit(db, { open: [], work: async () => ({ end: 'commit', statements, value: 1 }) })),
  ).toMatchObject({ code: '23503' })
})

test('a serialization failure restarts it', async () => {
  let runs = 0
  const value = await unit(db, {
    open: [],
    async work(tx) {
      if (++runs < 3) await tx.query(`do $$ begin raise exception 'again' using errcode = '40001'; end $$`)
      return commit(runs, 'a')
    },
  })
  expect(value).toBe(3)
  expect((await world.committed()).effects).toEqual(['a'])
})

test('a connection lost before the tail is STORE_UNAVAILABLE, nothing happened', async () => {
  const failing = unit(db, {
    open: [],
    async work(tx) {
      await add(tx, 'tea')
      proxy.resetAll()
      return commit(await add(tx, 'gin'), 'a')
    },
  })
  expect(await failure(failing)).toMatchObject({ code: 'STORE_UNAVAILABLE', details: { reason: 'refused' } })
  expect(await world.committed()).toEqual(nothing)
})

const isCommit = (bytes: Buffer): boolean => bytes.includes('commit')

test('a COMMIT whose reply got lost is COMMIT_UNKNOWN, and the work is not repeated', async () => {
  let runs = 0
  const lost = proxy.loseReplyAfter(isCommit)
  const failing = unit(db, {
    open: [],
    work: async () => {
      runs++
      return commit(1, 'a')
    },
  })
  expect(await failure(failing)).toMatchObject({ code: 'COMMIT_UNKNOWN', retryable: true })
  expect([await lost, runs]).toEqual([true, 1])
  expect((await world.committed()).effects).toEqual(['a'])
})

test.each<[string, any]>([
  ['an error of its own', new Error('gave up waiting')],
  ['nothing at all', undefined],
])(
  'a driver that answers COMMIT with %s does not know either; a `kind` of its own changes nothing',
  async (_, thrown) => {
    const vague: Database & { kind: string } = {
      kind: 'acme',
      query: db.query,
      transaction: async (work) => {
        await db.transaction(work)
        throw thrown
      },
    }
    expect(await failure(unit(vague, { open: [], work: async () => commit(1, 'a') }))).toMatchObject({
      code: 'COMMIT_UNKNOWN',
    })
    expect((await world.committed()).effects).toEqual(['a'])
  },
)

/** Long enough to be let in first, on any machine: else it would be the queue that took so long. */
const STALL_MS = 5_000

test('work that hangs is given up after stall', async () => {
  const hangs = unit(db, { open: [], stall: STALL_MS, work: () => new Promise<never>(() => {}) })
  expect(await failure(hangs)).toMatchObject({ code: 'STORE_UNAVAILABLE', details: { reason: 'timeout' } })
})

test('a statement that nobody awaits and nobody answers is given up after stall', async () => {
  const mute: Database = {
    query: db.query,
    transaction: (work) =>
      db.transaction((tx) =>
        work({ query: (text, values) => (text === 'mute' ? new Promise(() => {}) : tx.query(text, values)) }),
      ),
  }
  const hangs = unit(mute, {
    open: [],
    stall: STALL_MS,
    async work(tx) {
      void tx.query('mute')
      return commit(1, 'a')
    },
  })
  expect(await failure(hangs)).toMatchObject({
    code: 'STORE_UNAVAILABLE',
    message: expect.stringMatching(/a statement took over 5000 ms/),
  })
  expect(await world.committed()).toEqual(nothing)
})

describe('a driver that stands still', () => {
  /** It hangs from the first statement on that `says` so. */
  const hanging = (says: (text: string) => boolean): Database => {
    const { promise: silent, reject } = Promise.withResolvers<never>()
    silent.catch(() => {})
    onTestFinished(() => reject(new Error('goes on')))
    let hangs = false
    const step = async <T>(text: string, go: () => Promise<T>): Promise<T> => {
      hangs ||= says(text)
      return hangs ? silent : go()
    }
    return {
      query: db.query,
      transaction: (work) =>
        db.transaction(async ({ raw, query }) => {
          const inside = { raw, query: (text: string, values?: unknown[]) => step(text, () => query(text, values)) }
          const value = await step('begin', () => work(inside as Tx))
          return step('commit', async () => value)
        }),
    }
  }
  const long = 60_000
  const short = 300

  const away = { code: 'STORE_UNAVAILABLE', details: { reason: 'timeout' } }
  // Who sends a single statement asks for the cause.
  const unknown = { code: 'COMMIT_UNKNOWN', cause: away }
  test.each<[string, string | RegExp, object, object]>([
    ['begin', 'begin', { openTimeout: short }, away],
    ['the opening statements', /insert into items/, { openTimeout: short }, away],
    ['the tail', /insert into effects/, { stall: short }, unknown],
    ['COMMIT', 'commit', { stall: short }, unknown],
  ])('at %s is waited for as long as its limit says', async (_, at, times, error) => {
    const db = hanging((text) => (typeof at === 'string' ? text === at : at.test(text)))
    const hangs = unit(db, {
      openTimeout: long,
      stall: long,
      ...times,
      open: [insertItem('tea')],
      work: async () => commit(1, 'a'),
    })
    expect(await failure(hangs)).toMatchObject(error)
  })

  test('at ROLLBACK does not keep the work’s error', async () => {
    const { promise: silent, resolve } = Promise.withResolvers<never>()
    onTestFinished(() => resolve(undefined as never))
    const stuck: Database = { query: db.query, transaction: (work) => db.transaction(work).catch(() => silent) }
    const fails = unit(stuck, { open: [], work: () => Promise.reject(new Error('no tea')) })
    expect(await failure(fails)).toMatchObject({ message: 'no tea' })
  })
})
