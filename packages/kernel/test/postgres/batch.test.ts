import pg from 'pg'
import { beforeEach, describe, expect, test } from 'vitest'
import { unit } from '../../src/postgres/index.ts'
import type { Statement } from '../../src/index.ts'
import { failure, insertEffect, insertItem, isQuiet, nothing, openWorld, watchProcess } from './world.ts'

watchProcess()
const world = await openWorld('kernel_batch')
beforeEach(() => world.clear())

const cycle: { self?: unknown } = {}
cycle.self = cycle
const commit = (...statements: Statement[]) => ({ end: 'commit' as const, statements, value: 'done' })

/** Clients of every shape that a pool may hand out. */
const pools: Record<string, pg.Pool> = {
  'a stock client': world.openPool({ max: 1 }),
  'a client in pipeline mode': world.openPool({ max: 1, pipeline: true }),
  'a client with query_timeout': world.openPool({ max: 1, query_timeout: 30_000 }),
  'a client of unknown shape': hidden(world.openPool({ max: 1 })),
}

/** A pool whose clients are proxies that show no constructor, as some instrumentation does. */
function hidden(pool: pg.Pool): pg.Pool {
  const connect = async (): Promise<pg.PoolClient> => {
    const client = await pool.connect()
    return new Proxy(client, {
      get(target, name) {
        if (name === 'constructor') return undefined
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? (value as () => unknown).bind(target) : value
      },
    })
  }
  return new Proxy(pool, {
    get: (target, name) => (name === 'connect' ? connect : (Reflect.get(target, name) as unknown)),
  })
}

describe.each(Object.entries(pools))('%s', (shape, pool) => {
  test('opens, works and closes in one transaction', async () => {
    const value = await unit(pool, {
      open: [insertItem('open'), { text: 'select sku from items' }],
      async work(tx, opened) {
        expect(opened.map(({ rows }) => rows)).toEqual([[], [{ sku: 'open' }]])
        await tx.query('insert into items(sku) values ($1)', ['work'])
        expect(await world.committed()).toEqual(nothing)
        return commit(insertEffect('a'), { text: '' }, { text: '-- nothing' }, insertEffect('b'))
      },
    })
    expect(value).toBe('done')
    expect(await world.committed()).toEqual({ items: ['open', 'work'], effects: ['a', 'b'] })
  })

  test('a failing statement in the middle commits nothing and spares the connection', async () => {
    const failing = unit(pool, {
      open: [insertItem('open')],
      work: async () => commit(insertEffect('a'), { text: 'select 1/0' }, insertEffect('b')),
    })
    expect(await failure(failing)).toMatchObject({ code: '22012', severity: 'ERROR' })
    await isQuiet(pool)
    expect(await world.committed()).toEqual(nothing)
    await unit(pool, { open: [], work: async () => commit(insertEffect('again')) })
    expect((await world.committed()).effects).toEqual(['again'])
    expect(pool.totalCount).toBe(1)
  })

  test.each<[string, unknown[]]>([
    ['a cycle', [cycle]],
    ['a BigInt inside an object', [{ n: 1n }]],
    ['an object without a prototype', [{ toPostgres: () => Object.create(null).toString() as unknown }]],
  ])('%s cannot be bound: EFFECT_INVALID with the kind, nothing committed, the connection works', async (_, values) => {
    const bad = { text: 'insert into effects(label) values ($1)', values, kind: 'audit.entry' }
    const failing = unit(pool, {
      open: [insertItem('open')],
      work: async () => commit(insertEffect('a'), bad, insertEffect('b')),
    })
    expect(await failure(failing)).toMatchObject({
      name: 'KernelError',
      code: 'EFFECT_INVALID',
      message: expect.stringMatching(
        /^effect 'audit\.entry', statement 'insert into effects.*': a value cannot be bound: ./,
      ),
      cause: expect.any(TypeError) as unknown,
    })
    await isQuiet(pool)
    expect(await world.committed()).toEqual(nothing)
    // Text with umlauts: leftover bytes in pg's writer would show.
    await unit(pool, { open: [insertItem('schön')], work: async () => commit(insertEffect('größer')) })
    expect(await world.committed()).toEqual({ items: ['schön'], effects: ['größer'] })
    expect(pool.totalCount).toBe(1)
  })

  test('two commands in one statement are EFFECT_INVALID', async () => {
    const two = {
      text: `insert into effects(label) values ('x');\n  insert into effects(label) values ('y')`,
      kind: 'audit.entry',
    }
    const failing = unit(pool, { open: [], work: async () => commit(insertEffect('a'), two, insertEffect('b')) })
    expect(await failure(failing)).toMatchObject({
      code: 'EFFECT_INVALID',
      message: `effect 'audit.entry', statement 'insert into effects(label) values ('x'); insert into effec' must be exactly one SQL statement`,
    })
    await isQuiet(pool)
    expect(await world.committed()).toEqual(nothing)
  })

  test('a syntax error is the driver’s own', async () => {
    const failing = unit(pool, { open: [], work: async () => commit({ text: 'insert inot effects' }) })
    expect(await failure(failing)).toMatchObject({ code: '42601', severity: 'ERROR' })
  })

  test('a wrong number of parameters is the caller’s mistake, not the store’s', async () => {
    const failing = unit(pool, { open: [], work: async () => commit({ text: 'select $1::int, $2::int', values: [1] }) })
    expect(await failure(failing)).toMatchObject({ code: '08P01' })
    await isQuiet(pool)
    expect(pool.totalCount).toBe(1)
  })

  test('the same connection serves its pool again', async () => {
    await isQuiet(pool)
    await unit(pool, { open: [], work: async () => commit(insertEffect('a')) })
    expect([shape, pool.totalCount, pool.idleCount]).toEqual([shape, 1, 1])
  })
})

describe('how rows are read', () => {
  const rowsOf = (pool: pg.Pool, statement: Statement): Promise<unknown> =>
    unit(pool, { open: [statement], work: async (_, opened) => ({ end: 'rollback', value: opened[0]!.rows }) })

  test('a client’s own types are respected in a flight as in a query', async () => {
    const types = { getTypeParser: () => (text: string | Buffer) => `read ${String(text)}` }
    const pool = world.openPool({ max: 1, types })
    expect(await rowsOf(pool, { text: 'select 7 as n, $1::text as t', values: ['x'] })).toEqual([
      { n: 'read 7', t: 'read x' },
    ])
    expect((await pool.query('select 7 as n')).rows).toEqual([{ n: 'read 7' }])
  })

  test('a client’s binary mode too', async () => {
    const pool = world.openPool({ max: 1, binary: true } as pg.PoolConfig)
    const statement = { text: 'select 258 as n, $1::bytea as b', values: [Buffer.from([1, 2])] }
    expect(await rowsOf(pool, statement)).toEqual((await pool.query(statement)).rows)
    const raw = {
      getTypeParser: (_: number, format: string) => (value: unknown) => [format, value instanceof Uint8Array],
    }
    const seen = await rowsOf(world.openPool({ max: 1, binary: true, types: raw } as never), {
      text: 'select 258 as n',
    })
    expect(seen).toEqual([{ n: ['binary', true] }])
  })

  test('dates, null, jsonb and bytea come as pg gives them', async () => {
    const text = `select now() as at, null as none, '{"a":1}'::jsonb as j, '\\x0102'::bytea as b, 5::int8 as big`
    const pool = world.openPool({ max: 1 })
    expect(await rowsOf(pool, { text })).toEqual([
      { at: expect.any(Date), none: null, j: { a: 1 }, b: Buffer.from([1, 2]), big: '5' },
    ])
  })

  const refusing = {
    getTypeParser: () => () => {
      throw new Error('cannot read this')
    },
  }

  test('a row that cannot be read fails the opening flight and spares the connection', async () => {
    const pool = world.openPool({ max: 1, types: refusing })
    expect(await failure(rowsOf(pool, { text: `select ''::text` }))).toMatchObject({ message: 'cannot read this' })
    await isQuiet(pool)
    expect(pool.totalCount).toBe(1)
  })

  test('behind a COMMIT it fails nothing: what was committed is a success', async () => {
    // Only dates cannot be read, so that the opening flight can.
    const types = {
      getTypeParser: (oid: number) => (text: string) => (oid === 1184 ? refusing.getTypeParser()() : text),
    }
    const pool = world.openPool({ max: 1, types })
    const returning = { text: `insert into effects(label) values ('a') returning now()` }
    expect(await unit(pool, { open: [], work: async () => commit(returning) })).toBe('done')
    expect((await world.committed()).effects).toEqual(['a'])
  })
})
