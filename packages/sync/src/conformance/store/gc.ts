import type { Case } from '@keelson/kernel/conformance'
import { LONG_MS, SHORT_MS, at, during, onStage, op, told } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

const row = (name: string) => ({ op: name, fp: 'f', result: JSON.stringify({ op: name, status: 'applied', h: at(1) }) })

export const gcCases: readonly Case<StoreUnderTest>[] = [
  onStage('what is young stays, and what lives', async ({ store, change, push, pull, equal }) => {
    await change({ t: 'put', id: 'a', set: { n: 1 } }, { t: 'put', id: 'b' })
    const { target } = await pull()
    await change({ t: 'delete', id: 'b' })
    await push({ results: [row('o1')] })
    await store.gc({ tombstonesMs: LONG_MS, opsMs: LONG_MS, batch: 1_000 })
    equal(told((await pull({ floor: target })).rows), [['b', 'deleted']])
    equal((await push({}, { ops: ['o1'] })).results.size, 1)
    equal(told((await pull()).rows), [['a', { n: 1 }]])
  }),

  onStage('whom a tombstone was not told that is gone starts over; others go on', async (stage) => {
    const { scope, store, change, pull, page, collect, equal } = stage
    await change(...['a', 'b', 'c', 'd'].map((id) => ({ t: 'put' as const, id, set: { n: 1 } })))
    const paging = await page({ limit: 2 })
    const old = await pull()
    await change({ t: 'delete', id: 'a' })
    const young = await pull()
    await collect()
    const ask = async (floor: string | null, more: object = {}) =>
      store.pull({ scopes: [{ name: scope, isKnown: true }], collections: null, floor, limit: 9, ...more })
    equal((await ask(old.target)).kind, 'expired')
    equal((await ask(old.target, { target: young.target, after: old.rows[0]!.place })).kind, 'expired', 'in its pages')
    equal((await pull({ floor: young.target })).rows, [])
    equal(told((await pull()).rows).length, 3)
    const rest = await page({ target: paging.target, after: paging.rows[1]!.place })
    equal(
      rest.rows.map(({ id }) => id),
      ['c', 'd'],
      'who began with nothing goes on',
    )
    await change({ t: 'put', id: 'a', set: { n: 9 } })
    equal(told((await pull({ floor: young.target })).rows), [['a', { n: 9 }]])
    equal((await store.inspect()).horizonAgeMs !== null, true)
  }),

  onStage('it takes as many as it is told, the oldest first', async (stage) => {
    const { store, change, push, pull, collect, elapse, equal } = stage
    await collect()
    for (const id of ['a', 'b', 'c']) await change({ t: 'put', id })
    const floors: string[] = []
    for (const id of ['c', 'a', 'b']) {
      await change({ t: 'delete', id })
      floors.push((await pull()).target)
    }
    await push({ results: [row('o1'), row('o2'), row('o3')] })
    await elapse(SHORT_MS)
    const expired = async () =>
      Promise.all(
        floors.map(async (floor) =>
          pull({ floor }).then(
            ({ rows }) => rows.map(({ id }) => id),
            () => 'expired',
          ),
        ),
      )
    const step = () => store.gc({ tombstonesMs: 1, opsMs: LONG_MS, batch: 2 })
    equal(await step(), { tombstones: 2, ops: 0 })
    equal(await expired(), ['expired', ['b'], []])
    equal(await step(), { tombstones: 1, ops: 0 })
    equal(await expired(), ['expired', 'expired', []])
    equal(await step(), { tombstones: 0, ops: 0 })
    equal((await store.gc({ tombstonesMs: LONG_MS, opsMs: 1, batch: 2 })).ops, 2)
    equal((await store.gc({ tombstonesMs: LONG_MS, opsMs: 1, batch: 2 })).ops, 1)
    equal((await push({}, { ops: ['o1', 'o2', 'o3'] })).results.size, 0)
  }),

  onStage('who pulls while it works hears of an end, or that they have to start over', async (stage) => {
    const { scope, store, change, pull, elapse, collect, equal } = stage
    await collect()
    const ids = Array.from({ length: 20 }, (_, i) => `r${i}`)
    await change(...ids.map((id) => ({ t: 'put' as const, id })))
    const { target } = await pull()
    await change(...ids.map((id) => ({ t: 'delete' as const, id })))
    await elapse(SHORT_MS)
    const asked = { scopes: [{ name: scope, isKnown: true }], collections: null, floor: target, limit: 100 }
    await during(collect({ batch: 3 }), async () => {
      const pulled = await store.pull(asked)
      if (pulled.kind === 'page') equal(pulled.rows.length, 20)
    })
  }),

  onStage('it counts what it has', async ({ store, change, push, record, conflict, collect, equal, ok }) => {
    await collect()
    const before = await store.inspect()
    await change({ t: 'put', id: 'a' }, { t: 'put', id: 'b' }, { t: 'put', id: 'c' })
    await change({ t: 'delete', id: 'c' })
    await push({ results: [row('o1'), row('o2')], conflicts: [conflict()], records: [record('d', op('put', 1))] })
    const after = await store.inspect()
    equal(
      [
        after.records - before.records,
        after.tombstones - before.tombstones,
        after.ops - before.ops,
        after.openConflicts - before.openConflicts,
      ],
      [3, 1, 2, 1],
    )
    ok(after.era >= 1 && Number.isInteger(after.era))
    await store.health()
  }),
]
