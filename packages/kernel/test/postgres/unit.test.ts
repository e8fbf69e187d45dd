import pg from 'pg'
import { afterAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { database, unit } from '../../src/postgres/index.ts'
import type { Tx } from '../../src/index.ts'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { failure, insertEffect, insertItem, isQuiet, nothing, openWorld, watchProcess } from './world.ts'

watchProcess()
const server = new URL(inject('databaseUrl'))
const proxy = await startFaultProxy({ host: server.hostname, port: Number(server.port || 5432) })
const world = await openWorld('kernel_unit', { via: proxy })
const { pool } = world
/** One connection: what a unit leaves on it, the next one meets. */
const single = world.openPool({ max: 1 })

afterAll(() => proxy.close())
beforeEach(() => world.clear())

const add = async (tx: Tx, sku: string): Promise<void> => {
  const { text, values } = insertItem(sku)
  await tx.query(text, values)
}
const commit = <T>(value: T, ...labels: string[]) => ({
  end: 'commit' as const,
  statements: labels.map(insertEffect),
  value,
})

test('rows of the work and of the tail are there together, and the value comes after the commit', async () => {
  const value = await unit(pool, {
    open: [{ text: 'select 1 as one' }, { text: 'select $1::text as two', values: ['2'] }],
    async work(tx, opened) {
      expect(opened.map(({ rows }) => rows)).toEqual([[{ one: 1 }], [{ two: '2' }]])
      await add(tx, 'tea')
      expect(await world.committed()).toEqual(nothing)
      return commit('done', 'a', 'b')
    },
  })
  expect(value).toBe('done')
  expect(await world.committed()).toEqual({ items: ['tea'], effects: ['a', 'b'] })
})

test('a failure in the middle of the tail leaves nothing, is the driver’s own error, and spares the connection', async () => {
  const failing = unit(single, {
    open: [],
    async work(tx) {
      await add(tx, 'tea')
      const statements = [insertEffect('a'), { text: 'insert into effects(label) values (null)' }, insertEffect('c')]
      return { end: 'commit', statements, value: 1 }
    },
  })
  const error = await failure(failing)
  expect(error).toBeInstanceOf(pg.DatabaseError)
  expect(error).toMatchObject({ code: '23502', column: 'label', severity: 'ERROR' })
  expect(await world.committed()).toEqual(nothing)
  expect(await unit(single, { open: [], work: async () => commit('again', 'd') })).toBe('again')
  expect(await world.committed()).toEqual({ items: [], effects: ['d'] })
  expect([single.totalCount, single.waitingCount]).toEqual([1, 0])
})

test('a constraint that is checked at COMMIT fails the unit with the driver’s error', async () => {
  const failing = unit(single, {
    open: [],
    async work(tx) {
      await add(tx, 'tea')
      return { end: 'commit', statements: [{ text: "insert into effects values ('a', 'gin')" }], value: 1 }
    },
  })
  expect(await failure(failing)).toMatchObject({ code: '23503', table: 'effects' })
  expect(await world.committed()).toEqual(nothing)
})

test('a rollback returns its value and leaves nothing', async () => {
  const value = await unit(pool, {
    open: [insertItem('gin')],
    async work(tx) {
      await add(tx, 'tea')
      return { end: 'rollback', value: 'no' }
    },
  })
  expect(value).toBe('no')
  await isQuiet(pool)
  expect(await world.committed()).toEqual(nothing)
})

test('what the work throws is thrown, the same object, and nothing stays', async () => {
  const thrown: any[] = [new Error('own'), 'text', undefined, null, { code: '25P02x' }]
  for (const own of thrown) {
    const failing = unit(single, {
      open: [],
      async work(tx) {
        await add(tx, 'tea')
        throw own
      },
    })
    expect(await failure(failing)).toBe(own)
  }
  expect(
    await failure(
      unit(single, {
        open: [],
        work: () => {
          throw new RangeError('before there is a promise')
        },
      }),
    ),
  ).toBeInstanceOf(RangeError)
  expect(await world.committed()).toEqual(nothing)
  expect(single.totalCount).toBe(1)
})

describe('round trips', () => {
  /** Flights on a connection that is open already. */
  async function trips(run: () => Promise<unknown>): Promise<number> {
    await unit(single, { open: [], work: async () => ({ end: 'rollback', value: 1 }) })
    await isQuiet(single)
    proxy.resetCount()
    await run().catch(() => {})
    await isQuiet(single)
    return proxy.roundTrips
  }
  const open = [insertItem('open 1'), { text: 'savepoint s' }, { text: 'select * from items' }]
  const tail = Array.from({ length: 20 }, (_, i) => insertEffect(`e${i}`))

  test.each([0, 1, 5])('%d own statements, whatever opens and closes: that many and two', async (own) => {
    const run = (): Promise<number> =>
      unit(single, {
        open,
        async work(tx) {
          for (let i = 0; i < own; i++) await add(tx, `own ${i}`)
          return { end: 'commit', statements: tail, value: 1 }
        },
      })
    expect(await trips(run)).toBe(own + 2)
    expect((await world.committed()).effects.length).toBe(20)
  })

  test('also when a statement of the tail fails: and one for ROLLBACK', async () => {
    const statements = [insertEffect('a'), { text: 'insert into effects(label) values (null)' }, insertEffect('b')]
    expect(await trips(() => unit(single, { open, work: async () => ({ end: 'commit', statements, value: 1 }) }))).toBe(
      3,
    )
  })

  test('a rollback: the value is there before ROLLBACK is answered', async () => {
    proxy.pass()
    await isQuiet(single)
    const value = await unit(single, {
      open,
      async work() {
        proxy.freeze()
        return { end: 'rollback', value: 'now' }
      },
    })
    expect(value).toBe('now')
    expect([single.totalCount, single.idleCount]).toEqual([1, 0])
    proxy.pass()
    await isQuiet(single)
    expect(single.idleCount).toBe(1)
  })
})

describe('COMMIT of an aborted transaction is never success', () => {
  const swallow = async (tx: Tx): Promise<void> => {
    await add(tx, 'tea')
    await tx.query('select 1/0').catch(() => {})
  }

  test.each([0, 1])('a swallowed error comes out, with %d effects', async (effects) => {
    const failing = unit(single, {
      open: [],
      async work(tx) {
        await swallow(tx)
        return commit(1, ...Array<string>(effects).fill('a'))
      },
    })
    expect(await failure(failing)).toMatchObject({ code: '22012', message: 'division by zero' })
    expect(await world.committed()).toEqual(nothing)
    expect(await unit(single, { open: [], work: async () => commit('again') })).toBe('again')
  })

  test('an error that was swallowed on the raw client comes out as a refusal', async () => {
    const failing = unit(single, {
      open: [],
      async work(tx) {
        await add(tx, 'tea')
        await (tx.raw as Tx).query('select 1/0').catch(() => {})
        return commit(1)
      },
    })
    expect(await failure(failing)).toMatchObject({ code: 'INPUT_INVALID', message: /a statement .* failed/ })
    expect(await world.committed()).toEqual(nothing)
  })

  test('an error behind a savepoint is the work’s own matter', async () => {
    await unit(single, {
      open: [],
      async work(tx) {
        await add(tx, 'tea')
        await tx.query('savepoint s')
        await tx.query('select 1/0').catch(() => {})
        await tx.query('rollback to savepoint s')
        return commit(1, 'a')
      },
    })
    expect(await world.committed()).toEqual({ items: ['tea'], effects: ['a'] })
  })

  test('a tail that begins with ROLLBACK TO SAVEPOINT commits what was before', async () => {
    await unit(single, {
      open: [insertItem('kept'), { text: 'savepoint s' }],
      async work(tx) {
        await swallow(tx)
        return { end: 'commit', statements: [{ text: 'rollback to savepoint s' }, insertEffect('a')], value: 1 }
      },
    })
    expect(await world.committed()).toEqual({ items: ['kept'], effects: ['a'] })
  })

  test.each<[string, (tx: Tx) => Promise<unknown>]>([
    ['a second command', (tx) => tx.query('select 1; commit')],
    ['a second command that begins another', (tx) => tx.query('select 1; commit; begin')],
    ['a chain', (tx) => tx.query('select 1; commit and chain')],
    ['the raw client', (tx) => (tx.raw as Tx).query('rollback')],
    [
      'the raw client, as an ORM that opens its own',
      async (tx) => {
        await (tx.raw as Tx).query('commit')
        await (tx.raw as Tx).query('begin')
      },
    ],
  ])('a transaction that the work ended by %s is told so, and no effect happens', async (_, end) => {
    const failing = unit(single, {
      open: [],
      async work(tx) {
        await end(tx)
        return commit(1, 'a')
      },
    })
    expect(await failure(failing)).toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringContaining('ended the transaction by itself'),
    })
    await isQuiet(single)
    expect(await world.committed()).toEqual(nothing)
    expect(await unit(single, { open: [], work: async () => commit('again') })).toBe('again')
  })
})

describe('restarts', () => {
  /** Both have read before one of them writes: one must be told to try again. */
  async function race(
    isolation: 'serializable' | 'repeatable read',
    retries: number,
    wrap = (error: unknown) => error,
  ) {
    await world.pool.query('insert into items values ($1, 0)', ['n'])
    const bothRead = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const runs = [0, 0]
    const one = (me: 0 | 1): Promise<number> =>
      unit(world.pool, {
        open: [],
        isolation,
        retries,
        async work(tx) {
          runs[me]!++
          const { rows } = await tx.query('select size from items where sku = $1', ['n'])
          bothRead[me]!.resolve()
          await Promise.all(bothRead.map(({ promise }) => promise))
          const size = (rows[0] as { size: number }).size + 1
          await tx.query('update items set size = $2 where sku = $1', ['n', size]).catch((error: unknown) => {
            throw wrap(error)
          })
          return commit(size, `run ${me}`)
        },
      })
    const results = await Promise.allSettled([one(0), one(1)])
    return { results, runs: runs.reduce((sum, count) => sum + count) }
  }

  test.each(['serializable', 'repeatable read'] as const)(
    'a real 40001 under %s runs the whole work again',
    async (isolation) => {
      const { results, runs } = await race(isolation, 2)
      expect(results.map((result) => result.status === 'fulfilled' && result.value)).toEqual(
        expect.arrayContaining([1, 2]),
      )
      expect(runs).toBe(3)
      // Effects of the failed run are gone with it.
      expect((await world.committed()).effects).toEqual(['run 0', 'run 1'])
    },
  )

  test('a 40001 that an ORM has wrapped does too', async () => {
    const { results, runs } = await race('repeatable read', 2, (cause) => new Error('Failed query', { cause }))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled'])
    expect(runs).toBe(3)
  })

  test('retries: 0 gives the driver’s error at once', async () => {
    const { results, runs } = await race('repeatable read', 0)
    const failed = results.find((result) => result.status === 'rejected')
    expect(failed?.reason).toBeInstanceOf(pg.DatabaseError)
    expect(failed?.reason).toMatchObject({ code: '40001' })
    expect(runs).toBe(2)
  })

  test('a real deadlock ends by itself', async () => {
    await world.pool.query(`insert into items values ('a', 0), ('b', 0)`)
    const bothHold = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let runs = 0
    const one = (me: 0 | 1): Promise<number> =>
      unit(world.pool, {
        open: [{ text: `set local deadlock_timeout = '10ms'` }],
        async work(tx) {
          runs++
          const order = me === 0 ? ['a', 'b'] : ['b', 'a']
          await tx.query('update items set size = size + 1 where sku = $1', [order[0]])
          bothHold[me]!.resolve()
          await Promise.all(bothHold.map(({ promise }) => promise))
          await tx.query('update items set size = size + 1 where sku = $1', [order[1]])
          return commit(1)
        },
      })
    await Promise.all([one(0), one(1)])
    expect((await world.pool.query('select size from items')).rows).toEqual([{ size: 2 }, { size: 2 }])
    expect(runs).toBe(3)
  })

  test('they are bounded: then the error is thrown as it is', async () => {
    let runs = 0
    const failing = unit(single, {
      open: [],
      retries: 3,
      async work(tx) {
        runs++
        await tx.query(`do $$ begin raise exception 'again' using errcode = '40001'; end $$`)
        return commit(1)
      },
    })
    expect(await failure(failing)).toMatchObject({ code: '40001', message: 'again' })
    expect(runs).toBe(4)
  })

  test('a 40001 of the closing flight counts as well', async () => {
    let runs = 0
    const value = await unit(single, {
      open: [],
      async work() {
        const fail = { text: `do $$ begin raise exception 'again' using errcode = '40001'; end $$` }
        return { end: 'commit', statements: ++runs === 1 ? [fail] : [insertEffect('a')], value: runs }
      },
    })
    expect(value).toBe(2)
    expect((await world.committed()).effects).toEqual(['a'])
  })

  test.each(['23505', '55P03', '25P02'])('%s does not run the work again', async (code) => {
    let runs = 0
    const own = Object.assign(new Error('own'), { code })
    const failing = unit(single, {
      open: [],
      work: async () => {
        runs++
        throw own
      },
    })
    expect(await failure(failing)).toBe(own)
    expect(runs).toBe(1)
  })
})

test.each([undefined, 'read committed', 'repeatable read', 'serializable'] as const)(
  'isolation %s is what the server uses',
  async (isolation) => {
    const used = await unit(single, {
      open: [],
      ...(isolation === undefined ? {} : { isolation }),
      async work(tx) {
        const { rows } = await tx.query('show transaction_isolation')
        return commit((rows[0] as { transaction_isolation: string }).transaction_isolation)
      },
    })
    expect(used).toBe(isolation ?? 'read committed')
  },
)

test('the server’s own limit for a process that stands still is set for this transaction only', async () => {
  const show = async (tx: Tx): Promise<unknown> => (await tx.query('show idle_in_transaction_session_timeout')).rows[0]
  const before = await show(database(single))
  const inside = await unit(single, { open: [], stall: '7s', work: async (tx) => commit(await show(tx)) })
  expect(inside).toEqual({ idle_in_transaction_session_timeout: '7s' })
  expect(await show(database(single))).toEqual(before)
})

test('a failing statement of the opening flight is thrown as it is, and the work does not run', async () => {
  let ran = false
  const failing = unit(single, {
    open: [insertItem('tea'), insertItem('tea'), insertItem('gin')],
    work: async () => {
      ran = true
      return commit(1)
    },
  })
  expect(await failure(failing)).toMatchObject({ code: '23505' })
  expect(ran).toBe(false)
  expect(await world.committed()).toEqual(nothing)
  expect(await unit(single, { open: [], work: async () => commit('again') })).toBe('again')
})

test.each<[object, RegExp]>([
  [{ retries: -1 }, /unit: "retries" must be an integer from 0 to 100 \(got -1\)/],
  [
    { isolation: 'snapshot' },
    /"isolation" must be 'read committed', 'repeatable read' or 'serializable' \(got 'snapshot'\)/,
  ],
  [{ stall: 0 }, /"stall" must be a Duration/],
  [{ stall: '30d' }, /"stall" must be .*at most 24d/],
  [{ acquireTimeout: '5 s' }, /"acquireTimeout"/],
  [{ openTimeout: NaN }, /"openTimeout"/],
  [{ open: {} }, /"open" must be an array of statements/],
  [{ work: 5 }, /"work" must be a function/],
  [{ acquireTimeOut: 1 }, /unknown option "acquireTimeOut"; did you mean "acquireTimeout"\?/],
])('a wrong option is refused before a connection is taken: %o', async (options, message) => {
  const error = await failure(unit(pool, { open: [], work: async () => commit(1), ...options }))
  expect(error).toMatchObject({ code: 'OPTION_INVALID', message: expect.stringMatching(message) })
})

test('many at once share a small pool, and none is lost', async () => {
  const small = world.openPool({ max: 3 })
  const one = (i: number): Promise<number> =>
    unit(small, {
      open: [],
      async work(tx) {
        await add(tx, `item ${i}`)
        if (i % 4 === 0) throw new Error('own')
        return i % 4 === 1 ? { end: 'rollback', value: i } : commit(i, `effect ${i}`)
      },
    })
  await Promise.allSettled(Array.from({ length: 60 }, (_, i) => one(i)))
  await isQuiet(small)
  const { items, effects } = await world.committed()
  expect([items.length, effects.length]).toEqual([30, 30])
  expect([small.totalCount, small.idleCount, small.waitingCount]).toEqual([3, 3, 0])
})

test('fifty units on one connection leave no listener behind', async () => {
  for (let i = 0; i < 50; i++) {
    const work = async (): Promise<any> => {
      if (i % 3 === 0) throw new Error('own')
      return i % 3 === 1 ? { end: 'rollback', value: 1 } : commit(1)
    }
    await unit(single, { open: [], work }).catch(() => {})
  }
  await isQuiet(single)
  const client = await single.connect()
  // The pool takes its own away while a client is out.
  expect(client.listenerCount('error')).toBe(0)
  client.release()
})
