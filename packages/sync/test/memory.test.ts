import { expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { memoryStore, type SyncStore } from '@keelson/sync'

const put = { t: 'put', scope: 's', c: 'task', id: 'a', set: {}, unset: [] } as const

test('wrong options are refused by name', () => {
  expect(() => memoryStore({ clok: 1 } as never)).toThrow(/memoryStore: unknown option "clok"; did you mean "clock"/)
  expect(() => memoryStore({ clock: 1 } as never)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
})

test('a transaction is refused: it could not be part of it', async () => {
  const store = memoryStore()
  const o = { tx: { query: async () => ({ rows: [] }) } }
  await expect(store.change([put], 'n', o)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  const push = store.push({ client: 'c', keys: [], ops: [] }, async () => Promise.reject(new Error('never')), o)
  await expect(push).rejects.toMatchObject({ code: 'INPUT_INVALID' })
})

test('a snapshot of another store is of another era', async () => {
  const floor = async (store: SyncStore) => (await store.changed(null, [])).token
  const [one, other] = [memoryStore(), memoryStore()]
  const q = { scopes: [{ name: 's', isKnown: true }], collections: null, limit: 1 }
  expect(await one.pull({ ...q, floor: await floor(other) })).toEqual({ kind: 'other-era' })
  expect(await one.pull({ ...q, floor: await floor(one) })).toMatchObject({ kind: 'page', rows: [] })
})

test('what a caller goes on to change was copied', async () => {
  const store = memoryStore()
  const list: number[] = [1]
  await store.change([{ ...put, set: { list } }], 'n')
  list.push(2)
  const pulled = await store.pull({ scopes: [{ name: 's', isKnown: false }], collections: null, floor: null, limit: 1 })
  expect(pulled).toMatchObject({ rows: [{ state: { registers: { list: [[1], expect.any(String)] } } }] })
})

test('what an operation came to is never told differently', async () => {
  const store = memoryStore()
  const write = (result: string) =>
    store.push({ client: 'c', keys: [], ops: ['o'] }, async ({ state }) => ({
      value: state.results.get('o')?.result,
      writes: {
        client: { client: 'c', principal: 'p', pushed: 1, offsetMs: 0 },
        results: [{ op: 'o', fp: 'f', result }],
        records: [],
        conflicts: [],
        resolved: [],
        subjects: new Map(),
        conflictSubjects: new Map(),
        statements: [],
      },
    }))
  expect([await write('{"n":1}'), await write('{"n":2}'), await write('')]).toEqual([undefined, '{"n":1}', '{"n":1}'])
})

test('a wall clock that jumps ages nothing', async () => {
  const clock = virtualClock()
  const store = memoryStore({ clock })
  await store.change([put, { ...put, t: 'delete' }], 'n')
  clock.jumpWall(10 ** 9)
  expect(await store.gc({ tombstonesMs: 1_000, opsMs: 1_000, batch: 9 })).toEqual({ tombstones: 0, ops: 0 })
  await clock.advance(1_000)
  expect(await store.gc({ tombstonesMs: 1_000, opsMs: 1_000, batch: 9 })).toEqual({ tombstones: 1, ops: 0 })
  await clock.advance(500)
  expect((await store.inspect()).horizonAgeMs).toBe(1_500)
})
