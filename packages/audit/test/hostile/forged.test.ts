import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { createAudit, generateKey, memoryStore, type AuditStore, type Verdict } from '../../src/index.ts'
import { entry, key, open, privacy } from './stage.ts'

type Row = Awaited<ReturnType<AuditStore['read']>>[number]

/** What somebody changes who may write to the store, as far as `verify` reads it. */
interface Forgery {
  readonly rows?: (rows: readonly Row[]) => readonly Row[]
  readonly tile?: (tile: Uint8Array, place: string) => Uint8Array
  readonly notes?: (notes: readonly { size: number; note: string }[]) => readonly { size: number; note: string }[]
  readonly head?: (head: Awaited<ReturnType<AuditStore['head']>>) => Awaited<ReturnType<AuditStore['head']>>
}

const SIZE = 300
let store: AuditStore
let kept: string

beforeAll(async () => {
  store = memoryStore()
  const log = createAudit({ store, key: key.signer, privacy })
  for (let i = 0; i < SIZE; i++) {
    await log.record({
      ...entry,
      target: { type: 'order', id: `o_${i}` },
      ...(i % 7 === 0 ? { outcome: 'failure' } : {}),
    })
    if (i % 60 === 59) await log.flush()
  }
  await log.flush()
  kept = await log.checkpoint()
})

async function verdictOf({ rows, tile, notes, head }: Forgery, against: readonly string[] = []): Promise<Verdict> {
  const all = await store.read('main', 0, { entries: 1_000, bytes: 1e9 })
  const forgedRows = rows?.(all) ?? all
  const forged: AuditStore = {
    ...store,
    read: async (_, from, { entries }) => forgedRows.filter(({ leaf }) => leaf.index >= from).slice(0, entries),
    async tiles(log, refs) {
      const tiles = await store.tiles(log, refs)
      return tiles.map((one, i) =>
        one === null ? null : (tile?.(Uint8Array.from(one), `${refs[i]!.level}/${refs[i]!.index}`) ?? one),
      )
    },
    async checkpoints(log, q) {
      const found = await store.checkpoints(log, { from: 0, limit: 1_000 })
      const all = notes?.(found) ?? found
      return 'last' in q ? all.slice(-1) : all.filter(({ size }) => size >= q.from).slice(0, q.limit)
    },
    async head(log) {
      const found = await store.head(log)
      return head?.(found) ?? found
    },
  }
  return createAudit({ store: forged, key: key.signer, privacy }).verify({ against })
}

const bit = (bytes: Uint8Array, n: number): Uint8Array => {
  const copy = Uint8Array.from(bytes)
  copy[(n >> 3) % copy.length]! ^= 1 << (n & 7)
  return copy
}
const at = (n: number, change: (row: Row) => Row) => (rows: readonly Row[]) =>
  rows.map((row) => (row.leaf.index === n ? change(row) : row))

test('as it is, it is whole', async () => {
  expect(await verdictOf({})).toMatchObject({ ok: true, completeness: 'unwitnessed', size: SIZE })
  expect(await verdictOf({}, [kept])).toMatchObject({ ok: true, completeness: 'ok' })
})

test('any bit of an entry, of a tile and of a checkpoint', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: SIZE - 1 }), fc.nat(), fc.constantFrom('0/0', '0/1', '1/0'), async (n, b, place) => {
      const altered = await verdictOf({ rows: at(n, (row) => ({ ...row, bytes: bit(row.bytes!, b) })) })
      expect(altered.problems[0]).toMatchObject({ index: n })
      expect(altered.ok).toBe(false)
      expect((await verdictOf({ tile: (tile, of) => (of === place ? bit(tile, b) : tile) })).ok).toBe(false)
      const flipped = await verdictOf({
        notes: (notes) =>
          notes.map(({ size, note }, i) => ({
            size,
            note: i === n % notes.length ? Buffer.from(bit(Buffer.from(note), b)).toString() : note,
          })),
      })
      expect(flipped.ok).toBe(false)
    }),
    { numRuns: process.env['LONG'] === '1' ? 500 : 15 },
  )
})

test('any entry that is taken out, put in, or put elsewhere', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: SIZE - 1 }), fc.nat({ max: SIZE - 1 }), async (n, m) => {
      fc.pre(n !== m)
      const out = await verdictOf({ rows: (rows) => rows.filter(({ leaf }) => leaf.index !== n) })
      expect(out.problems[0]).toMatchObject({ code: 'ENTRY_MISSING', index: n })
      const swapped = await verdictOf({
        rows: (rows) =>
          rows.map((row, i) =>
            i === n
              ? { ...rows[m]!, leaf: { ...rows[m]!.leaf, index: n } }
              : i === m
                ? { ...rows[n]!, leaf: { ...rows[n]!.leaf, index: m } }
                : row,
          ),
      })
      expect(swapped.problems.map(({ code, index }) => [code, index])).toEqual(
        expect.arrayContaining([
          ['ENTRY_ALTERED', n],
          ['ENTRY_ALTERED', m],
        ]),
      )
      const put = await verdictOf({
        rows: (rows) =>
          [...rows.slice(0, n), rows[m]!, ...rows.slice(n)].map((row, i) => ({
            ...row,
            leaf: { ...row.leaf, index: i },
          })),
      })
      expect(put.ok).toBe(false)
    }),
    { numRuns: process.env['LONG'] === '1' ? 500 : 10 },
  )
})

describe('what entries are found by', () => {
  test.each<[string, object]>([
    ['id', { id: '019b7a3c-8d3e-7a01-9c3f-0123456789ab' }],
    ['atMs', { atMs: 0 }],
    ['scope', { scope: 'other' }],
    ['actorId', { actorId: 'null' }],
    ['action', { action: 'order.delete' }],
    ['targetId', { targetId: null }],
    ['outcome', { outcome: 'unknown' }],
    ['correlationId', { correlationId: 'null' }],
    ['refs', { refs: [''] }],
  ])('%s', async (name, facts) => {
    const { problems } = await verdictOf({ rows: at(7, (row) => ({ ...row, leaf: { ...row.leaf, ...facts } })) })
    expect(problems).toMatchObject([
      { code: 'INDEX_ALTERED', index: 7, detail: `its ${name} is not what its bytes say` },
    ])
  })
})

describe('the end', () => {
  const cut: Forgery = {
    rows: (rows) => rows.slice(0, 128),
    head: (head) => ({ ...head, size: 128, frontier: Buffer.alloc(32) }),
  }

  test('that was cut off is told by the checkpoints of the log, or by one that was kept elsewhere', async () => {
    const [tile] = await store.tiles('main', [{ level: 0, index: 0 }])
    const { appendLeaves, emptyHead } = await import('../../src/tree/head.ts')
    const { head } = appendLeaves(emptyHead, tile!.subarray(0, 128 * 32))
    const clean = { ...cut, head: () => ({ ...head, pruned: 0 }) }
    expect((await verdictOf(clean)).problems).toMatchObject([{ code: 'TRUNCATED', index: 128 }, {}, {}])
    const older = {
      ...clean,
      notes: (notes: readonly { size: number; note: string }[]) => notes.filter(({ size }) => size <= 128),
    }
    expect(await verdictOf(older)).toMatchObject({ ok: true, completeness: 'unwitnessed', size: 128 })
    expect(await verdictOf(older, [kept])).toMatchObject({ ok: false, completeness: 'broken' })
    expect((await verdictOf({ head: () => ({ ...head, pruned: 0 }), notes: older.notes })).problems[0]).toMatchObject({
      code: 'ENTRY_ADDED',
      index: 128,
    })
  })

  test('is not hidden by an older checkpoint in the place of a newer one', async () => {
    const { problems } = await verdictOf({
      notes: (notes) => notes.map(({ size }) => ({ size, note: notes[0]!.note })),
    })
    expect(problems[0]).toMatchObject({ code: 'CHECKPOINT_INVALID' })
  })
})

test('a log that goes on while it is read is whole', async () => {
  const inner = memoryStore()
  const log = open({ store: inner })
  const live: AuditStore = {
    ...inner,
    async read(...given) {
      await log.record(entry)
      await log.flush()
      return inner.read(...given)
    },
    async checkpoints(...given) {
      if (!('last' in given[1])) {
        await log.record(entry)
        await log.flush()
      }
      return inner.checkpoints(...given)
    },
  }
  for (let i = 0; i < 10; i++) await log.record(entry)
  await log.flush()
  const verdict = await createAudit({ store: live, key: key.signer }).verify({ against: [await log.checkpoint()] })
  expect(verdict.problems).toEqual([])
  expect(verdict).toMatchObject({ ok: true, size: 10, completeness: 'ok' })
})

test('entries that are dropped while they are read are not missing', async () => {
  const inner = memoryStore()
  const log = open({ store: inner })
  for (let i = 0; i < 10; i++) await log.record(entry)
  await log.flush()
  const live: AuditStore = {
    ...inner,
    async read(...given) {
      await inner.prune('main', 5)
      return inner.read(...given)
    },
  }
  const verdict = await createAudit({ store: live, key: key.signer }).verify()
  expect(verdict).toMatchObject({ ok: true, coverage: { pruned: 5 } })
})

test('a log of another key is not taken for this one', async () => {
  const other = generateKey('other.example/audit')
  const log = open({ key: other.signer })
  await log.record(entry)
  await log.flush()
  expect(await verdictOf({}, [await log.checkpoint()])).toMatchObject({ ok: false, completeness: 'broken' })
})
