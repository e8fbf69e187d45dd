import { beforeEach, describe, expect, test } from 'vitest'
import { unit } from '../../src/postgres/index.ts'
import type { Tx } from '../../src/index.ts'
import { failure, insertEffect, nothing, openWorld, watchProcess } from './world.ts'

watchProcess()
const world = await openWorld('kernel_open_tx')
const pool = world.openPool({ max: 1 })
beforeEach(() => world.clear())

const commit = <T>(value: T) => ({ end: 'commit' as const, statements: [insertEffect('tail')], value })
const within = <T>(work: (tx: Tx) => Promise<T>): Promise<T> =>
  unit(pool, { open: [], work: async (tx) => commit(await work(tx)) })

describe('after the end nothing reaches the connection', () => {
  /** A unit whose tx is used when it is over. */
  async function leaked(end: 'commit' | 'rollback' | 'throw'): Promise<Tx> {
    let kept: Tx | undefined
    const work = async (tx: Tx): Promise<any> => {
      kept = tx
      if (end === 'throw') throw new Error('own')
      return end === 'commit' ? commit(1) : { end, value: 1 }
    }
    await unit(pool, { open: [], work }).catch(() => {})
    return kept!
  }

  test.each(['commit', 'rollback', 'throw'] as const)('end by %s: TX_ENDED at once', async (end) => {
    const tx = await leaked(end)
    // The one connection is another's now.
    const client = await pool.connect()
    const before = await client.query('select count(*) from items')
    const late = await tx.query(`insert into items(sku) values ('late')`).catch((error: unknown) => error)
    const { rows } = await client.query('select count(*) from items')
    client.release()
    expect(late).toMatchObject({ name: 'KernelError', code: 'TX_ENDED', retryable: false })
    expect(rows).toEqual(before.rows)
    expect((await world.committed()).items).toEqual([])
  })

  test('also for statements that the work queued and left behind', async () => {
    let behind: Promise<unknown>[] = []
    const failing = within(async (tx) => {
      const slow = tx.query('select pg_sleep(0.05)')
      behind = [slow, ...['a', 'b'].map((sku) => tx.query('insert into items(sku) values ($1)', [sku]))]
      throw new Error('own')
    })
    expect(await failure(failing)).toMatchObject({ message: 'own' })
    const settled = await Promise.allSettled(behind)
    expect(settled.slice(1).map((one) => one.status === 'rejected' && (one.reason as { code: string }).code)).toEqual([
      'TX_ENDED',
      'TX_ENDED',
    ])
    expect(await world.committed()).toEqual(nothing)
  })
})

describe('statements that the work does not await', () => {
  test('are waited for and committed', async () => {
    await within(async (tx) => {
      void tx.query('select pg_sleep(0.02)')
      for (const sku of ['a', 'b', 'c']) void tx.query('insert into items(sku) values ($1)', [sku])
      return 1
    })
    expect(await world.committed()).toEqual({ items: ['a', 'b', 'c'], effects: ['tail'] })
  })

  test('fail the unit when they fail, and nobody hears of an unhandled rejection', async () => {
    const failing = within(async (tx) => {
      void tx.query('insert into items(sku) values ($1)', ['a'])
      void tx.query('insert into items(sku) values ($1)', ['a'])
      void tx.query('insert into items(sku) values ($1)', ['b'])
      return 1
    })
    expect(await failure(failing)).toMatchObject({ code: '23505' })
    expect(await world.committed()).toEqual(nothing)
  })

  test('also when they come while others are waited for', async () => {
    const failing = within(async (tx) => {
      void tx.query('select pg_sleep(0.02)').then(() => void tx.query('select 1/0'))
      return 1
    })
    expect(await failure(failing)).toMatchObject({ code: '22012' })
  })

  test('a refused one fails the unit as well', async () => {
    const failing = within(async (tx) => {
      void tx.query('select pg_sleep(0.02)')
      void tx.query('commit')
      return 1
    })
    expect(await failure(failing)).toMatchObject({ code: 'INPUT_INVALID' })
    // Alone it was refused before there was anything to wait for; it must only not end the process.
    await within(async (tx) => {
      void tx.query('commit')
      await tx.query('select 1')
    })
  })
})

test('Promise.all of many queries answers each its own rows, in order, without a warning of pg', async () => {
  const answers = await within((tx) =>
    Promise.all(Array.from({ length: 50 }, (_, i) => tx.query('select $1::int as n, txid_current() as tx', [i]))),
  )
  expect(answers.map(({ rows }) => (rows[0] as { n: number }).n)).toEqual(Array.from({ length: 50 }, (_, i) => i))
  expect(new Set(answers.map(({ rows }) => (rows[0] as { tx: string }).tx)).size).toBe(1)
})

test('a failure among them is the failure of the unit, and its rollback waits for those under way', async () => {
  const failing = within(async (tx) => {
    await tx.query('savepoint mine')
    await tx.query('select 1/0').catch(() => {})
    await tx.query('rollback to savepoint mine')
    void tx.query('select pg_sleep(0.05)')
    throw new Error('meanwhile')
  })
  expect(await failure(failing)).toMatchObject({ message: 'meanwhile' })
  const together = within((tx) => Promise.all(['select 1', 'select 1/0', 'select 2'].map((text) => tx.query(text))))
  expect(await failure(together)).toMatchObject({ code: '22012' })
  expect(await world.committed()).toEqual(nothing)
})

describe('text that would end the unit', () => {
  test.each([
    'COMMIT',
    'commit;',
    '  rollback',
    'rollback work',
    'ROLLBACK AND CHAIN',
    'BEGIN',
    'begin isolation level serializable',
    'start transaction',
    'Start\n  Transaction read only',
    'end;',
    'END TRANSACTION',
    'abort',
    `prepare transaction 'x'`,
    `commit prepared 'x'`,
    ';commit',
    '-- done\ncommit',
    '/* done */ commit',
    '/* a *//* b */\n-- c\n ; rollback',
    '/** ends here **/commit',
  ])('is refused and not sent: %j', async (text) => {
    const failing = within((tx) => tx.query(text))
    expect(await failure(failing)).toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringMatching(/would end the unit of work; return to commit, throw to roll back$/),
    })
    const config = { text, rowMode: 'array' } as never
    expect(await failure(within((tx) => tx.query(config)))).toMatchObject({ code: 'INPUT_INVALID' })
    // The transaction is still whole.
    await within(async (tx) => {
      await tx.query(text).catch(() => {})
      await tx.query('insert into items(sku) values ($1)', [text])
    })
    expect(await world.committed()).toEqual({ items: [text], effects: ['tail'] })
  })

  test.each([
    'savepoint s; rollback to savepoint s',
    'select 1 as "end"',
    'with "end" as (select 1 as commit) select commit from "end"',
    'select case when true then 1 end',
    'do $$ begin perform 1; end $$',
    '-- commit\nselect 1',
    '-- commit',
    '/* rollback; */ select 1',
    '/* commit */',
    'prepare begin_plan as select 1',
    'set transaction read write',
    `select 'commit'`,
  ])('text that only looks like it passes: %j', async (text) => {
    await within((tx) => tx.query(text))
    expect((await world.committed()).effects).toEqual(['tail'])
  })

  test.each([
    'rollback to s',
    'ROLLBACK TO SAVEPOINT s',
    ' rollback  work\nto savepoint s',
    'rollback transaction to s',
  ])('%j is the work’s own', async (text) => {
    await within(async (tx) => {
      await tx.query('savepoint s')
      await tx.query(`insert into items(sku) values ('gone')`)
      await tx.query(text)
    })
    expect(await world.committed()).toEqual({ items: [], effects: ['tail'] })
  })

  test('a name that begins with such a word is no such word', async () => {
    const failing = within((tx) => tx.query('commitments'))
    expect(await failure(failing)).toMatchObject({ code: '42601' })
    for (const text of ['begin_x', 'endless', 'abort1', 'rollback_log', 'ending']) {
      expect(await failure(within((tx) => tx.query(text)))).toMatchObject({ code: '42601' })
    }
  })

  test('long comments are read in no time', async () => {
    const comments = '/* a */'.repeat(5_000) + '/* *'.repeat(5_000)
    const tookMs: number[] = []
    for (let round = 0; round < 5; round++) {
      const startMs = performance.now()
      await failure(within((tx) => tx.query(comments)))
      tookMs.push(performance.now() - startMs)
    }
    // The best of five: a machine may stand still. Read again from each of its places, it would be minutes.
    expect(Math.min(...tookMs)).toBeLessThan(2_000)
  })
})

describe('the driver’s own', () => {
  test('all arguments go to it: a config object, rowMode, names, a callback', async () => {
    await within(async (tx) => {
      const arrays = await tx.query({ text: 'select $1::int as n, 2 as m', rowMode: 'array' } as never, [1])
      expect(arrays.rows).toEqual([[1, 2]])
      const inConfig = await tx.query({ name: 'kernel-test', text: 'select $1::int as n', values: [3] } as never)
      expect(inConfig.rows).toEqual([{ n: 3 }])
      const query = tx.query as unknown as (
        text: string,
        values: unknown[],
        done: (error: unknown, result: unknown) => void,
      ) => unknown
      const result = await new Promise((resolve, reject) => {
        expect(
          query('select $1::int as n', [4], (error, found) => (error ? reject(error as Error) : resolve(found))),
        ).toBeUndefined()
      })
      expect(result).toMatchObject({ rows: [{ n: 4 }] })
    })
  })

  test('its result is untouched, its error too, raw is its client', async () => {
    await within(async (tx) => {
      const result = await tx.query('select 7::int8 as n')
      expect(result).toMatchObject({ command: 'SELECT', rowCount: 1, fields: [{ name: 'n', dataTypeID: 20 }] })
      const raw = tx.raw as { processID: number; query: Tx['query'] }
      const { rows } = await raw.query('select pg_backend_pid() as pid')
      expect((rows[0] as { pid: number }).pid).toBe(raw.processID)
    })
    const error = await failure(within((tx) => tx.query('select * from missing')))
    expect(error).toMatchObject({ code: '42P01', routine: 'parserOpenTable', position: '15' })
  })

  test('its complaint about a missing text is a rejection', async () => {
    expect(await failure(within((tx) => tx.query(undefined as never)))).toBeInstanceOf(TypeError)
  })
})
