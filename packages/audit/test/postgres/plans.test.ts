import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Search } from '@keelson/audit'
import { openPostgres } from './open-postgres.ts'
import { fold, sealAll, someRows } from './steps.ts'

const LONG = process.env['LONG'] === '1'
const ROWS = LONG ? 1_000_000 : 20_000
const START_MS = 1_700_000_000_000

// One connection, so that what it has read is told when it says so.
const { store, pool, schema, ...opened } = await openPostgres(undefined, 1)
afterAll(() => opened[Symbol.asyncDispose]())
let sealed = 0

beforeAll(async () => {
  // What was planned for empty tables stays.
  for (let i = 0; i < 10; i++) await append(10)
  await sealThem()
  for (const q of Object.values(searches)) for (let i = 0; i < 6; i++) await store.search('main', q)
  while (sealed < ROWS) {
    await append(1_000)
    await append(1, 'other')
    await sealThem()
  }
  await store.seal('other', ROWS, fold)
  await pool.query(`analyze ${schema}.audit_leaf`)
}, 3_600_000)

async function append(count: number, log = 'main'): Promise<void> {
  await store.append(
    log,
    someRows(count, (i) => {
      const n = sealed + i
      return {
        scope: n % 1_000 ? 'big' : `small_${n % 7_000}`,
        actorId: `u_${n % 5_000}`,
        action: n % 5_000 ? 'doc.read' : 'role.grant',
        targetId: `d_${n}`,
        targetType: 'doc',
        outcome: n % 4_000 ? 'success' : 'failure',
        correlationId: `c_${n}`,
        atMs: START_MS + n,
        refs: n % 5_000 ? [] : [`r_${n}`],
      }
    }),
  )
}

async function sealThem(): Promise<void> {
  sealed += await sealAll(store)
}

const q: Search = { scope: null, order: 'desc', limit: 100 }
const searches: Readonly<Record<string, Search>> = {
  all: q,
  'the last ones': { ...q, order: 'asc', after: ROWS - 50 },
  'a scope that nearly all have': { ...q, scope: 'big' },
  'a small scope': { ...q, scope: 'small_3000' },
  'an actor': { ...q, scope: 'big', actor: { type: 'user', id: 'u_77' } },
  'a target': { ...q, target: { type: 'doc', id: 'd_777' } },
  nobody: { ...q, actor: { type: 'user', id: 'u_none' } },
  'a rare action': { ...q, action: 'role.grant' },
  'rare actions': { ...q, actionPrefix: 'role.' },
  failures: { ...q, outcome: 'failure' },
  'a request': { ...q, correlationId: 'c_777' },
  'a person': { ...q, ref: 'r_5000' },
  'a moment': { ...q, fromMs: START_MS + 5_000, toMs: START_MS + 5_010 },
}

/** What `work` reads of large tables: rows by scans, and entries of indexes. */
async function readBy(work: () => Promise<unknown>): Promise<{ scanned: number; looked: number }> {
  const read = async (): Promise<{ scanned: number; looked: number }> => {
    await pool.query('select pg_stat_force_next_flush()')
    const { rows } = await pool.query<{ scanned: number; looked: number }>(
      `select sum(t.seq_tup_read)::float8 as scanned,
        (select sum(i.idx_tup_read) from pg_stat_user_indexes i where i.schemaname = $1)::float8 as looked
      from pg_stat_user_tables t where t.schemaname = $1 and t.relname ~ '^audit_(entry|leaf|span|tile)'`,
      [schema],
    )
    return rows[0]!
  }
  const before = await read()
  await work()
  const after = await read()
  return { scanned: after.scanned - before.scanned, looked: after.looked - before.looked }
}

test.each(Object.entries(searches))('a search for %s', async (_, search) => {
  const { scanned, looked } = await readBy(() => store.search('main', search))
  expect({ scanned, isFew: looked < 2_500 }).toEqual({ scanned: 0, isFew: true })
})

const steps: Readonly<Record<string, () => Promise<unknown>>> = {
  'nothing to seal': () => store.seal('main', 1_000, fold),
  'a mark': async () => store.isSealed('main', await store.mark('main')),
  find: async () => {
    const [row] = await store.read('main', Math.floor(ROWS / 2), { entries: 1, bytes: 1 })
    return store.find('main', row!.leaf.id)
  },
  'the first of a log': () => store.read('main', 0, { entries: 10, bytes: 1e6 }),
  'what could be pruned': () => store.prunable('main', Date.now()),
  head: () => store.head('main'),
  tiles: () => store.tiles('main', [{ level: 0, index: 3 }]),
  'a status': () => store.inspect('main'),
}

test.each(Object.entries(steps))('the work of %s does not grow with the log', async (_, step) => {
  const { scanned, looked } = await readBy(step)
  expect({ scanned, isFew: looked < 500 + ROWS / 1_000 }).toEqual({ scanned: 0, isFew: true })
})

test('sealing looks at what it seals alone, and a known entry at itself', async () => {
  await append(1_000)
  let count: unknown
  const seal = await readBy(async () => (count = await store.seal('main', 1_000, fold)))
  expect(count).toBe(1_000)
  // Of each entry its place and, of the table of leaves, what uniqueness asks.
  expect(seal).toEqual({ scanned: 0, looked: expect.toSatisfy((looked: number) => looked < 4_000) })
  const [row] = someRows(1)
  await store.append('main', [row!])
  const again = await readBy(() => store.append('main', [row!]))
  expect(again).toEqual({ scanned: 0, looked: expect.toSatisfy((looked: number) => looked < 10) })
})
