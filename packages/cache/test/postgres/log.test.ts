import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { DropRow } from '@keelson/cache'
import { postgresLog } from '@keelson/cache/postgres'
import { database, transact, type KnownDatabase } from '@keelson/kernel/postgres'
import { databases, openPostgres, type OpenDatabase } from './databases.ts'
import { dropRow, NAME, send } from './steps.ts'

const now = { olderThanMs: 0, limit: 100 }
const tagsOf = (rows: readonly DropRow[]): string[] => rows.map(({ tag }) => tag).toSorted()

describe.each(Object.keys(databases) as (keyof typeof databases)[])('%s', (kind) => {
  let opened: OpenDatabase
  let db: KnownDatabase
  let log: ReturnType<typeof postgresLog>
  beforeAll(async () => {
    opened = await databases[kind]()
    db = database(opened.db)
    log = postgresLog(opened.db, { schema: opened.schema })
  })
  afterAll(() => opened[Symbol.asyncDispose]())
  beforeEach(() => db.query(`delete from ${opened.schema}.cache_owed`))

  const commit = (...rows: DropRow[]): Promise<void> =>
    transact(opened.db, async () => ({
      value: undefined,
      effects: [{ kind: 'cache.drop', statements: () => [log.statement(rows)] }],
    }))

  test('a committed drop is claimed once, whatever its characters', async () => {
    const row = dropRow('\u0001k=\0 \\0 \n\t\\ ☃ \u{1F600}', { operation: 'a\\b' })
    await commit(row)
    expect(await log.pending(NAME)).toEqual([row])
    const applied: DropRow[][] = []
    expect(await log.claim(NAME, now, async (rows) => void applied.push([...rows]))).toBe(1)
    expect(applied).toEqual([[row]])
    expect(await log.claim(NAME, now, async (rows) => void applied.push([...rows]))).toBe(0)
    expect(applied.length).toBe(1)
    expect(await log.backlog(NAME)).toEqual({ rows: 0, oldestMs: 0 })
  })

  test('a rolled-back drop was never there', async () => {
    await expect(
      db.transaction(async (tx) => {
        await send(tx, log.statement([dropRow('a')]))
        throw new Error('no')
      }),
    ).rejects.toThrow('no')
    expect(await log.pending(NAME)).toEqual([])
  })

  test('many drops are one statement; a claim takes no more than it is told, oldest first', async () => {
    await commit(...['c', 'b', 'a'].map((tag) => dropRow(tag)))
    await commit(dropRow('later'))
    const taken: DropRow[] = []
    const take = async (limit: number): Promise<number> =>
      log.claim(NAME, { olderThanMs: 0, limit }, async (rows) => void taken.push(...rows))
    expect(await take(3)).toBe(3)
    expect(tagsOf(taken)).toEqual(['a', 'b', 'c'])
    expect([await take(3), await take(3)]).toEqual([1, 0])
  })

  test('a young row belongs to its author', async () => {
    await commit(dropRow('young'))
    const apply = async (): Promise<void> => expect.unreachable()
    expect(await log.claim(NAME, { olderThanMs: 3_600_000, limit: 1 }, apply)).toBe(0)
    const { rows, oldestMs } = await log.backlog(NAME)
    expect([rows, oldestMs < 3_600_000]).toEqual([1, true])
  })

  test('rows whose application fails stay, and the failure is told', async () => {
    await commit(dropRow('a'))
    const why = new Error('Redis is away')
    await expect(log.claim(NAME, now, () => Promise.reject(why))).rejects.toBe(why)
    expect(tagsOf(await log.pending(NAME))).toEqual(['a'])
    expect(await log.claim(NAME, now, async () => {})).toBe(1)
  })

  test('names and operations are apart; what is done is gone', async () => {
    const [a, b, c] = [dropRow('a', { operation: 'one' }), dropRow('b', { operation: 'two' }), dropRow('c')]
    await commit(a, b, { ...c, name: 'other' })
    expect(tagsOf(await log.pending(NAME))).toEqual(['a', 'b'])
    expect(tagsOf(await log.pending(NAME, { operation: 'two' }))).toEqual(['b'])
    expect(tagsOf(await log.pending('other', { operation: 'two' }))).toEqual([])
    expect((await log.pending(NAME, { limit: 1 })).length).toBe(1)
    await log.done([a.id, c.id])
    await log.done([])
    await log.done([a.id])
    expect([tagsOf(await log.pending(NAME)), tagsOf(await log.pending('other'))]).toEqual([['b'], []])
  })
})

describe('two relays', () => {
  let opened: Awaited<ReturnType<typeof openPostgres>>
  let log: ReturnType<typeof postgresLog>
  beforeAll(async () => {
    opened = await openPostgres()
    log = postgresLog(opened.pool, { schema: opened.schema })
  })
  afterAll(() => opened[Symbol.asyncDispose]())

  test('do not wait for each other, and settling sees what the other one holds', async () => {
    await send(opened.pool, log.statement([dropRow('a'), dropRow('b')]))
    let other = 0
    let pending: string[] = []
    const one = await log.claim(NAME, { olderThanMs: 0, limit: 1 }, async () => {
      other = await log.claim(NAME, now, async () => {})
      pending = tagsOf(await log.pending(NAME))
    })
    expect([one, other]).toEqual([1, 1])
    expect(pending.length).toBe(1)
    expect(await log.pending(NAME)).toEqual([])
  })

  test('whose backend is killed leaves its rows to the other', async () => {
    await send(opened.pool, log.statement([dropRow('a'), dropRow('b')]))
    const killed = log.claim(NAME, now, async (rows) => {
      expect(rows.length).toBe(2)
      expect(await log.claim(NAME, now, async () => expect.unreachable())).toBe(0)
      const { rows: ended } = await opened.pool.query(
        `select pg_terminate_backend(pid) as ended from pg_stat_activity
         where state = 'idle in transaction' and query like '%${opened.schema}.cache_owed%' and pid <> pg_backend_pid()`,
      )
      expect(ended).toEqual([{ ended: true }])
    })
    await expect(killed).rejects.toThrow()
    const applied: string[] = []
    // Its transaction may end a moment later.
    while (applied.length < 2) await log.claim(NAME, now, async (rows) => void applied.push(...tagsOf(rows)))
    expect(applied.toSorted()).toEqual(['a', 'b'])
    expect(await log.claim(NAME, now, async () => expect.unreachable())).toBe(0)
  })
})
