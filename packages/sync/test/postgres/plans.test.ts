import { afterAll, beforeAll, expect, test } from 'vitest'
import { openPostgres } from './open-postgres.ts'
import { aChange, aRecord, keyOf, pageOf, writesOf } from './steps.ts'

const ROWS = process.env['LONG'] === '1' ? 1_000_000 : 100_000
const SCOPE = 'acme/team:big'

// One connection, so that what it has read is told when it says so.
const { store, pool, schema, ...opened } = await openPostgres(undefined, { max: 1 })
afterAll(() => opened[Symbol.asyncDispose]())

const scopes = [{ name: SCOPE, isKnown: true }]
const push = (ids: readonly string[]) => {
  const keys = ids.map((id) => keyOf(SCOPE, id))
  return store.push({ client: 'd1', keys, ops: ids }, async () => {
    const records = keys.map((key) => aRecord(key, Date.now()))
    const results = ids.map((op) => ({ op: `${op}_${Date.now()}`, fp: 'f', result: '{}' }))
    return { writes: writesOf('d1', records, { results }), value: 1 }
  })
}

beforeAll(async () => {
  // What was planned for empty tables stays.
  for (let i = 0; i < 10; i++) {
    await push([`early${i}`])
    await store.change([aChange(SCOPE, `early${i}`)], 'n1')
    await pageOf(store, { scopes, limit: 1 })
  }
  for (let from = 0; from < ROWS; from += 10_000) {
    await pool.query(
      `insert into ${schema}.sync_record (scope, c, id, reg, h, at_ms)
        select $1, 'task', 'r' || i, '{"n":[1,"000000000-0000-n"]}', '000000000-0000-n', 0
        from generate_series($2::integer, $2::integer + 9999) as i`,
      [SCOPE, from],
    )
  }
  await pool.query(
    `with made as (
      insert into ${schema}.sync_conflict (id, scope, c, record, code, op, principal, client, at_ms)
      select 'c' || i, $1, 'task', 'r' || i, 'gone', '{}', 'u1', 'd1', 0 from generate_series(1, 10000) as i
      returning scope, id
    )
    insert into ${schema}.sync_about (scope, subject, conflict)
    select scope, case id when 'c7' then 'about one' else 'about many' end, id from made`,
    [SCOPE],
  )
})

/** What `work` reads of the large tables: rows by scans, and entries of indexes. */
async function readBy(work: () => Promise<unknown>): Promise<{ scanned: number; looked: number }> {
  const read = async (): Promise<{ scanned: number; looked: number }> => {
    await pool.query('select pg_stat_force_next_flush()')
    const { rows } = await pool.query<{ scanned: number; looked: number }>(
      `select sum(t.seq_tup_read)::float8 as scanned,
        (select sum(i.idx_tup_read) from pg_stat_user_indexes i where i.schemaname = $1)::float8 as looked
      from pg_stat_user_tables t where t.schemaname = $1 and t.relname <> 'sync_meta'`,
      [schema],
    )
    return rows[0]!
  }
  const before = await read()
  await work()
  const after = await read()
  return { scanned: after.scanned - before.scanned, looked: after.looked - before.looked }
}

const few = (limit: number) => ({
  scanned: 0,
  looked: expect.toSatisfy((looked: number) => looked < limit, `fewer than ${limit}`),
})

test('the first page of a delta begins at the floor, whatever is before it', async () => {
  const { target: floor } = await pageOf(store, { scopes, limit: 1 })
  await store.change(
    Array.from({ length: 100 }, (_, i) => aChange(SCOPE, `r${i}`)),
    'n1',
  )
  let rows = 0
  const delta = await readBy(async () => (rows = (await pageOf(store, { scopes, floor })).rows.length))
  expect([rows, delta]).toEqual([100, few(300)])
  const nothing = await readBy(async () =>
    pageOf(store, { scopes, floor: (await pageOf(store, { scopes, floor })).target }),
  )
  expect(nothing).toEqual(few(300))
  const { token } = await store.changed(null, [SCOPE])
  expect(await readBy(() => store.changed(token, [SCOPE]))).toEqual(few(10))
  expect(await readBy(() => store.changed(floor, [SCOPE]))).toEqual(few(10))
})

test('a page reads its own rows alone', async () => {
  const q = { scopes: [{ name: SCOPE, isKnown: false }], limit: 100 }
  let page = await pageOf(store, q)
  for (let n = 0; n < 3; n++) {
    const { target, rows } = page
    const read = await readBy(async () => (page = await pageOf(store, { ...q, target, after: rows.at(-1)!.place })))
    expect(read).toEqual(few(300))
  }
})

test('a push and a change look at what they write alone', async () => {
  const ids = Array.from({ length: 100 }, (_, i) => `r${i * 7}`)
  expect(await readBy(() => push(ids))).toEqual(few(1_000))
  expect(await readBy(() => push(ids.map((id) => `new${id}`)))).toEqual(few(1_000))
  expect(await readBy(() => store.change([aChange(SCOPE, 'r5')], 'n1'))).toEqual(few(20))
  const many = ids.map((id) => aChange(SCOPE, id))
  expect(await readBy(() => store.change(many, 'n1'))).toEqual(few(1_000))
  expect(await readBy(() => store.forget({ scope: SCOPE, c: 'task', id: 'r7' }, 'n1'))).toEqual(few(20))
  expect(await readBy(() => store.forget({ scope: SCOPE, subject: 'about one' }, 'n1'))).toEqual(few(20))
  expect(await readBy(() => store.gc({ tombstonesMs: 0, opsMs: 0, batch: 10 }))).toEqual(few(100))
})
