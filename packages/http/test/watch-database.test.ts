import { setTimeout as sleep } from 'node:timers/promises'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { counters, createHttp, ok, watchDatabase, type Http } from '@keelson/http'
import { context } from '@keelson/kernel'
import { database, transact } from '@keelson/kernel/postgres'
import { databases, note, type TestDatabase } from './databases.ts'
import { exchange } from './support.ts'

/** What a request costs that does `work`. */
async function cost(work: () => unknown, http: Http = createHttp()) {
  return context.run(http.begin(exchange()), async () => {
    await work()
    return counters()!
  })
}

describe.each(databases)('watchDatabase on $name', ({ open }) => {
  let opened: TestDatabase
  beforeAll(async () => void (opened = await open()))
  afterAll(() => opened.close())

  it('counts each query of a request, also of one that fails', async () => {
    const db = database(watchDatabase(opened.db))
    const { queries, queryMs } = await cost(async () => {
      expect((await db.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      expect((await db.query('select $1::int as two', [2])).rows).toEqual([{ two: 2 }])
      await expect(db.query('select nothing')).rejects.toThrow(/nothing/)
    })
    expect(queries).toBe(3)
    expect(queryMs).toBeGreaterThan(0)
  })

  it('counts those of transactions, and the flights of a unit of work', async () => {
    const db = watchDatabase(opened.db)
    const work = async (): Promise<void> => {
      await transact(db, async (tx) => {
        await tx.query("insert into orders (sku) values ('a')")
        await tx.query("insert into orders (sku) values ('b')")
        return { value: 1, effects: [note('a'), note('b')] }
      })
    }
    const { queries } = await cost(work)
    expect(queries).toBe((await cost(work)).queries)
    expect(queries).toBeGreaterThanOrEqual(4)
  })

  it('keeps two requests apart, and counts nothing outside of one', async () => {
    const db = database(watchDatabase(opened.db))
    const ask = (times: number) =>
      cost(async () => {
        for (let i = 0; i < times; i++) await db.query('select 1')
      })
    const both = await Promise.all([ask(3), ask(5), db.query('select 1')])
    expect(both.slice(0, 2)).toMatchObject([{ queries: 3 }, { queries: 5 }])
    expect(counters()).toBeUndefined()
  })

  it('counts once what is watched twice', async () => {
    const db = watchDatabase(opened.db)
    for (const twice of [watchDatabase(db), watchDatabase(database(db)), watchDatabase(database(watchDatabase(db)))]) {
      const watched = database(twice)
      expect((await cost(() => watched.query('select 1'))).queries).toBe(1)
      const { queries } = await cost(() => watched.transaction((tx) => tx.query('select 1')))
      expect(queries).toBe((await cost(() => database(db).transaction((tx) => tx.query('select 1')))).queries)
    }
  })

  it('watches what database() has made', async () => {
    const db = watchDatabase(database(opened.db))
    const { queries } = await cost(() => db.transaction((tx) => tx.query('select 1')))
    expect(queries).toBeGreaterThanOrEqual(1)
    expect((await cost(() => db.query('select 1'))).queries).toBe(1)
  })

  it('fills the end line of a transactional route', async () => {
    let counted: unknown
    const logger = {
      debug() {},
      warn() {},
      error() {},
      info: (line: { counters: unknown }) => (counted = line.counters),
    }
    const db = watchDatabase(opened.db)
    const http = createHttp({ db, logger, scope: () => 'm1' })
    const x = exchange()
    await context.run(http.begin(x), () =>
      http.compile({ transactional: true }).transact!(x, async (tx) => {
        await tx.query("insert into orders (sku) values ('c')")
        return ok('done')
      }),
    )
    x.end(200)
    expect(counted).toMatchObject({ queryMs: expect.any(Number) as number, calls: 0 })
    expect((counted as { queries: number }).queries).toBeGreaterThanOrEqual(2)
  })
})

it('counts tagged queries of PGlite, and of its transactions', async () => {
  const db = watchDatabase(new PGlite())
  const { queries } = await cost(async () => {
    expect((await db.sql`select ${1}::int as one`).rows).toEqual([{ one: 1 }])
    await db.transaction((tx) => tx.sql`select ${2}::int as two`)
  })
  expect(queries).toBe(2)
  await db.close()
})

describe('watchDatabase on a pg Pool', () => {
  const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 2 })
  const db = watchDatabase(pool)
  afterAll(() => pool.end())

  it('counts a unit of work as its round trips: own statements and two', async () => {
    const { queries } = await cost(() =>
      transact(db, async (tx) => {
        await tx.query('select 1')
        await tx.query('select 2')
        return { value: 1, effects: [] }
      }),
    )
    expect(queries).toBe(4)
  })

  it('is still that pool: clients, callbacks, queries as objects, events', async () => {
    const { queries } = await cost(async () => {
      const client = await db.connect()
      try {
        expect((await client.query({ text: 'select $1::text as a', values: ['x'] })).rows).toEqual([{ a: 'x' }])
        expect(await new Promise((resolve) => client.query('select 1', (error: unknown) => resolve(error)))).toBeNull()
      } finally {
        client.release()
      }
      await new Promise<void>((resolve) => {
        db.connect((_, other, release) => {
          other!.query('select 1', () => resolve(release()))
        })
      })
      await new Promise((resolve) => db.query('select 1', () => resolve(undefined)))
    })
    expect(queries).toBe(4)
    expect([db.totalCount, db.waitingCount]).toEqual([pool.totalCount, 0])
    expect(db instanceof pg.Pool).toBe(true)
    expect(await db.connect().then((client) => (client.release(), client))).toBe(
      await db.connect().then((client) => (client.release(), client)),
    )
  })

  it('calls back in the request that asked, whoever opened the connection', async () => {
    const one = new pg.Pool({ connectionString: inject('databaseUrl'), max: 1 })
    const watched = watchDatabase(one)
    const asked = (): Promise<[string | undefined, string | undefined]> =>
      context.run(createHttp().begin(exchange()), () => {
        const id = context.get()?.correlationId
        return new Promise((resolve) => {
          watched.query('select 1', () => resolve([id, context.get()?.correlationId]))
        })
      })
    for (const [id, seen] of [await asked(), await asked(), ...(await Promise.all([asked(), asked()]))])
      expect(seen).toBe(id)
    const handed = (): Promise<[string | undefined, string | undefined]> =>
      context.run(createHttp().begin(exchange()), () => {
        const id = context.get()?.correlationId
        return new Promise((resolve) => {
          watched.connect((_, __, release) => resolve([id, (release(), context.get()?.correlationId)]))
        })
      })
    for (const [id, seen] of await Promise.all([handed(), handed()])) expect(seen).toBe(id)
    await one.end()
  })

  it('times what a query takes', async () => {
    const { queryMs } = await cost(() => Promise.all([db.query('select pg_sleep(0.05)'), sleep(1)]))
    expect(queryMs).toBeGreaterThan(45)
  })
})

it('refuses what is no database', () => {
  expect(() => watchDatabase({} as never)).toThrow(/watchDatabase: .* must be a pg Pool, a PGlite or an object/)
})
