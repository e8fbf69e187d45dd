import pg from 'pg'
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { until } from '../../../../tools/servers/until.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { openPostgres, servers, type OpenStore } from './open-postgres.ts'
import { aRow, fold, idAt, sealAll } from './steps.ts'

const month = (n: number): number => Date.UTC(2030, n, 1)
const DAY_MS = 86_400_000

describe.each(Object.keys(servers))('on %s', (name) => {
  let opened: OpenStore
  beforeEach(async () => {
    opened = await servers[name]!()
  })
  afterEach(() => opened[Symbol.asyncDispose]())

  /** Of months from January 2030 on: those that have a partition, and how many rows are in the default one. */
  async function partitions(): Promise<{ months: number[]; others: number }> {
    const { query, schema } = opened
    const { rows } = await query(
      `select relid::text as name from pg_partition_tree('${schema}.audit_entry') where isleaf order by 1`,
    )
    const names = (rows as { name: string }[]).map((row) => row.name.split('audit_entry_')[1]!)
    const others = await query(`select count(*)::int as n from ${schema}.audit_entry_default`)
    return {
      months: names.filter((month) => month.startsWith('2030')).map((month) => Number(month.slice(4))),
      others: (others.rows[0] as { n: number }).n,
    }
  }

  /** The store of a process that starts at that time. */
  async function startAt(ms: number): Promise<ReturnType<typeof postgresStore>> {
    await opened.at(ms)
    const store = postgresStore(opened.db, { schema: opened.schema })
    await store.seal('main', 1, fold)
    return store
  }

  const kept = async (store: OpenStore['store'], log: string): Promise<boolean[]> =>
    (await store.read(log, 0, { entries: 100, bytes: 1e9 })).map(({ bytes }) => bytes !== null)

  test('partitions are made ahead; what is there before its partition is kept', async () => {
    await opened.store.append('main', [aRow({}, idAt(month(1)))])
    await startAt(month(0) + 20 * DAY_MS)
    // February is where its first entry is.
    expect(await partitions()).toEqual({ months: [1, 3, 4], others: 1 })
    const store = await startAt(month(2))
    expect(await partitions()).toEqual({ months: [1, 3, 4, 5, 6], others: 1 })
    await store.append('main', [aRow({}, idAt(month(2) + DAY_MS)), aRow({}, idAt(month(9)))])
    expect((await partitions()).others).toBe(2)
    await sealAll(store)
    expect(await kept(store, 'main')).toEqual([true, true, true])
  })

  test('a month goes when it is over for all logs in it and all sinks', async () => {
    let store = await startAt(month(0))
    const [keyed, old] = [{ ...aRow({}, idAt(month(0), 1)), keys: [aKey] }, aRow({}, idAt(month(0), 2))]
    await store.append('main', [keyed, old, aRow({}, idAt(month(1), 1)), aRow({}, idAt(month(0), 3))])
    await store.append('other', [aRow({}, idAt(month(0), 4)), aRow({}, idAt(month(1), 2))])
    await sealAll(store)
    await sealAll(store, 'other')
    store = await startAt(month(2) + DAY_MS)

    // An entry of January stands behind one of February.
    expect(await store.prunable('main', month(1) - 1)).toBe(0)
    expect(await store.prunable('main', month(1) + 5)).toBe(2)
    expect(await store.prunable('main', month(2))).toBe(4)
    expect(await store.prunable('nowhere', month(2))).toBe(0)
    const claim = (await store.claim('main', 'siem', 'a', 60_000))!
    expect(await store.prunable('main', month(2))).toBe(0)
    await store.advance('main', 'siem', claim.fence, 1, 60_000)
    expect(await store.prunable('main', month(2))).toBe(1)
    await store.advance('main', 'siem', claim.fence, 4, 60_000)

    expect(await store.prune('main', 2)).toBe(2)
    expect(await store.prune('main', 1)).toBe(0)
    expect((await store.head('main')).pruned).toBe(2)
    expect(await kept(store, 'main')).toEqual([false, false, true, true])
    expect((await store.find('main', keyed.id))!.bytes).toBe(null)
    expect((await store.search('main', { scope: 'a', order: 'asc', limit: 1 }))[0]!.bytes).toBe(null)
    expect((await partitions()).months).toContain(1)
    expect((await store.keys('main', [keyed.id])).length).toBe(1)

    expect(await store.prune('main', 100)).toBe(2)
    expect((await partitions()).months).toContain(1)
    // A log of which nothing is sealed.
    await store.append('late', [aRow({}, idAt(month(0), 5))])
    expect(await store.prune('other', 1)).toBe(1)
    expect((await partitions()).months).toContain(1)
    await sealAll(store, 'late')
    expect(await store.prune('late', 1)).toBe(1)
    expect((await partitions()).months).toEqual([2, 3, 4, 5, 6])
    expect(await store.keys('main', [keyed.id])).toEqual([])
    expect(await kept(store, 'main')).toEqual([false, false, false, false])
    expect(await kept(store, 'other')).toEqual([false, true])

    // What is told again although its bytes are gone is not sealed twice.
    const fresh = aRow({}, idAt(month(2)))
    await store.append('main', [old, fresh])
    expect(await sealAll(store)).toBe(1)
    expect((await store.read('main', 4, { entries: 9, bytes: 1e9 })).map(({ leaf }) => leaf.id)).toEqual([fresh.id])
    expect((await store.inspect('main')).unsealed).toBe(0)
  })

  test('what was there before its partition is dropped too, with its keys', async () => {
    const [keyed, other] = [{ ...aRow({}, idAt(month(1), 1)), keys: [aKey] }, aRow({}, idAt(month(1), 2))]
    await opened.store.append('main', [keyed, other])
    await opened.store.append('second', [aRow({}, idAt(month(1), 3))])
    let store = await startAt(month(0))
    await sealAll(store)
    await sealAll(store, 'second')
    expect((await partitions()).others).toBe(3)
    store = await startAt(month(2))
    expect(await store.prune('main', await store.prunable('main', month(2)))).toBe(2)
    expect(await store.keys('main', [keyed.id])).toEqual([])
    expect((await partitions()).others).toBe(1)
    expect(await kept(store, 'second')).toEqual([true])
    // What is told again is not sealed again, and nobody else may delete.
    await store.append('main', [other])
    expect(await sealAll(store)).toBe(0)
    const { query, schema } = opened
    await expect(query(`delete from ${schema}.audit_entry_default`)).rejects.toMatchObject({ code: '42501' })
  })

  test('a month stays while an entry of it is not sealed, and this month stays', async () => {
    let store = await startAt(month(0))
    await store.append('main', [aRow({}, idAt(month(0), 1))])
    await sealAll(store)
    expect(await store.prune('main', 1)).toBe(1)
    expect((await partitions()).months).toContain(1)
    store = await startAt(month(1))
    await store.append('main', [aRow({}, idAt(month(0), 2))])
    await store.prune('main', 1)
    expect((await partitions()).months).toContain(1)
    expect(await sealAll(store)).toBe(1)
    await store.prune('main', 1)
    expect((await partitions()).months).toContain(1)
    expect(await store.prune('main', 2)).toBe(1)
    expect((await partitions()).months).not.toContain(1)
  })
})

test('a month stays when an entry of it is committed while it is locked to go, whatever the default isolation is', async () => {
  await using opened = await openPostgres()
  const { pool, schema } = opened
  const options = String.raw`-c default_transaction_isolation=repeatable\ read`
  const isolated = new pg.Pool({ connectionString: inject('databaseUrl'), options })
  const store = postgresStore(isolated, { schema })
  await opened.at(month(0))
  await store.seal('main', 1, fold)
  await store.append('main', [aRow({}, idAt(month(0), 1))])
  await sealAll(store)
  await opened.at(month(2))
  await pool.query(`alter function ${schema}.audit_prune set lock_timeout = '60s'`)

  const writing = await pool.connect()
  await writing.query('begin')
  const late = aRow({}, idAt(month(0), 2))
  await store.append('main', [late], writing)
  const pruning = store.prune('main', 1)
  await until('it waits for the writer', 60_000, async () => {
    const text = 'select pid from pg_stat_activity where $1 = any(pg_blocking_pids(pid))'
    return (await pool.query(text, [(writing as unknown as { processID: number }).processID])).rows[0] as unknown
  })
  await writing.query('commit')
  writing.release()
  expect(await pruning).toBe(1)
  expect(await sealAll(store)).toBe(1)
  expect((await store.find('main', late.id))?.bytes).toEqual(Buffer.from(late.bytes))
  await isolated.end()
})

test('processes that seal together make the partitions of months once, and none of them fails', async () => {
  await using opened = await openPostgres()
  const { db, pool, schema } = opened
  for (const n of [0, 4, 8]) {
    await opened.at(month(n))
    const stores = Array.from({ length: 10 }, () => postgresStore(db, { schema }))
    await Promise.all(stores.map((store) => store.seal('main', 1, fold)))
    // What was locked for a moment is left to the next one.
    await postgresStore(db, { schema }).seal('main', 1, fold)
  }
  const { rows } = await pool.query<{ n: number }>(
    `select count(*)::int as n from pg_partition_tree('${schema}.audit_entry') where relid::text like '%audit_entry_2030%'`,
  )
  expect(rows).toEqual([{ n: 12 }])
})

const aKey = { scope: 'a', ref: 'r_1', wrapped: new Uint8Array([1]) }
