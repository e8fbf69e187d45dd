import type { Case } from '@keelson/kernel/conformance'
import { documentOf } from '../../record.ts'
import type { PushWrites, ResultRow } from '../../store.ts'
import { LONG_MS, SHORT_MS, at, onStage, op, pushWrites, told } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

const result = (name: string, fp = 'f1', more: object = {}): ResultRow => ({
  op: name,
  fp,
  result: JSON.stringify({ op: name, status: 'applied', h: at(1), ...more }),
})

export const pushCases: readonly Case<StoreUnderTest>[] = [
  onStage('a push reads what it asks for, and writes what it says', async (stage) => {
    const { client, store, peer, push, record, key, pull, equal, ok } = stage
    const first = await push({}, { keys: [key('a'), key('b')], ops: ['o1'] })
    equal([first.client, first.records, first.busy, first.results.size], [undefined, [], [], 0])
    const a = record('a', op('put', 1, { title: 'A' }))
    equal((await push({ records: [a], results: [result('o1')] })).records, [])
    const then = await push({}, { keys: [key('a'), key('b')], ops: ['o1', 'o2'] })
    equal([then.records, then.busy], [[a], []])
    equal([...then.results], [['o1', result('o1')]])
    ok(Math.abs(then.nowMs - (await stage.now())) < LONG_MS)
    equal(told((await pull()).rows), [['a', { title: 'A' }]])
    equal((await peer.client(client))?.client, client)
    equal(await store.client(`${client}-x`), undefined)
  }),

  onStage('a push answers what its work does', async ({ store, client, equal }) => {
    const value = await store.push({ client, keys: [], ops: [] }, async () => ({
      value: { n: 1 },
      writes: pushWrites(client),
    }))
    equal(value, { n: 1 })
  }),

  onStage('of a push that fails nothing is written', async (stage) => {
    const { store, client, record, pull, key, conflict, push, equal, rejects } = stage
    const error = Object.assign(new Error('no'), { code: 'MINE' })
    const writes = { records: [record('a', op('put', 1))], results: [result('o1')], conflicts: [conflict()] }
    const work = async (): Promise<{ writes: PushWrites; value: number }> => {
      const made = { writes: pushWrites(client, writes), value: 1 }
      if (made.value === 1) throw error
      return made
    }
    await rejects(store.push({ client, keys: [key('a')], ops: ['o1'] }, work), 'MINE')
    equal([(await pull()).rows, await store.client(client), await store.openConflicts(client)], [[], undefined, 0])
    const state = await push(writes)
    equal([state.records, state.results.size], [[], 0])
  }),

  onStage('all content comes back as it was', async ({ push, record, key, pull, equal }) => {
    const doc = {
      constructor: 'c',
      toString: null,
      'a"b\\c': [1, [], {}, { '': -0.5 }],
      texts: ['', "'", '\u{1F600}', '\u2028', '%_$1', '\t\n\\'],
      numbers: [0, 1e-7, 1.7976931348623157e308, 2 ** 53 - 1],
      yes: true,
      empty: {},
    }
    const made = record('a', op('put', 1, doc), { t: 'patch', h: at(2), unset: ['yes', 'never'] })
    await push({ records: [made, record('b', op('put', 3))] })
    const { yes: _, ...rest } = doc
    const { rows } = await pull()
    equal(told(rows), [
      ['a', rest],
      ['b', {}],
    ])
    equal(rows[0]!.state, made.state)
    equal((await push({}, { keys: [key('a')] })).records, [made])
  }),

  onStage('tombstones are read too, with why', async ({ push, record, key, below, equal }) => {
    const dead = record('a', op('put', 1, { n: 1 }), op('delete', 2))
    const moved = { ...record('b', op('put', 1, { n: 1 }), op('delete', 2)), gone: 'scope' as const }
    await push({ records: [dead, moved] })
    const { records } = await push({}, { keys: [key('b'), key('a'), key('a', below)] })
    equal(
      records.toSorted((x, y) => (x.id < y.id ? -1 : 1)),
      [dead, moved],
    )
  }),

  onStage('a result is of its client and its content', async ({ client, push, equal }) => {
    const other = `${client}-2`
    await push({ results: [result('o1', 'f1')] })
    equal((await push({ results: [result('o1', 'f2', { lost: ['n'] })] }, { client: other })).results.size, 0)
    const seen = async (of: string) => [...(await push({}, { client: of, ops: ['o1'] })).results.values()]
    equal(await seen(client), [result('o1', 'f1')])
    equal(await seen(other), [result('o1', 'f2', { lost: ['n'] })])
  }),

  onStage('only results that were asked for are read', async ({ push, equal }) => {
    await push({ results: [result('o1'), result('o2'), result('o3')] })
    equal([...(await push({}, { ops: ['o3', 'o1', 'o9'] })).results.keys()].toSorted(), ['o1', 'o3'])
  }),

  onStage('pushes of one record come one after the other', async (stage) => {
    const { client, store, key, together, pull, record, equal } = stage
    await together(12, (i) =>
      store.push({ client: `${client}-${i}`, keys: [key('a')], ops: [] }, async ({ state }) => {
        const held = state.records[0]
        const n = held === undefined ? 0 : Number(documentOf(held.state)['n'])
        await new Promise((resolve) => setImmediate(resolve))
        const records = state.busy.length === 0 ? [record('a', op('put', n + 1, { n: n + 1 }))] : []
        return { writes: pushWrites(`${client}-${i}`, { records }), value: records.length }
      }),
    ).then(async (counts) => {
      const written = counts.reduce((sum, count) => sum + count, 0)
      equal(told((await pull()).rows), [['a', { n: written }]])
    })
  }),

  onStage('a change during a push is not lost', async ({ client, store, key, change, pull, record, equal }) => {
    await change({ t: 'put', id: 'a', set: { ours: 1 } })
    let changing: Promise<unknown> = Promise.resolve()
    await store.push({ client, keys: [key('a')], ops: [] }, async ({ state }) => {
      changing = change({ t: 'patch', id: 'a', set: { ours: 2 } })
      changing.catch(() => {})
      for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
      const { ours } = documentOf(state.records[0]!.state)
      const merged = record('a', { t: 'put', h: state.records[0]!.state.h, set: { ours: ours!, theirs: 1 } })
      return { writes: pushWrites(client, { records: [merged] }), value: 0 }
    })
    await changing
    equal(told((await pull()).rows), [['a', { ours: 2, theirs: 1 }]])
  }),

  onStage('of a device there is what its last push said', async (stage) => {
    const { client, store, push, elapse, equal, ok } = stage
    await push({ client: { client, principal: 'ann', top: at(5), topHere: at(9), pushed: 3, offsetMs: -70 } })
    const first = (await store.client(client))!
    const { pushedAtMs, ...rest } = first
    equal(rest, { client, principal: 'ann', top: at(5), topHere: at(9), pushed: 3, offsetMs: -70, pulledAtMs: null })
    ok(pushedAtMs !== null && Math.abs(pushedAtMs - (await stage.now())) < LONG_MS)
    await store.pulled(client, 'ann')
    await elapse(SHORT_MS)
    const read = await push({ client: { client, principal: 'ann', pushed: 4, offsetMs: 0 } })
    equal(read.client?.pulledAtMs, (await store.client(client))!.pulledAtMs)
    const last = (await store.client(client))!
    equal([last.pushed, last.offsetMs, last.pulledAtMs !== null], [4, 0, true])
    ok(last.pushedAtMs! > pushedAtMs!, 'the time of the last push')
  }),

  onStage('a device that only pulls is known by that', async ({ client, store, peer, elapse, push, equal, ok }) => {
    await store.pulled(client, 'ann')
    const { pulledAtMs, ...first } = (await peer.client(client))!
    equal(first, { client, principal: 'ann', pushed: 0, offsetMs: 0, pushedAtMs: null })
    await elapse(SHORT_MS)
    await store.pulled(client, 'bob')
    const later = (await store.client(client))!
    equal(later.principal, 'ann')
    ok(pulledAtMs !== null && later.pulledAtMs! > pulledAtMs)
    equal((await push()).client?.principal, 'ann')
  }),

  onStage(
    'what is tried may fail, and the push goes on',
    async ({ client, store, push, record, pull, equal, rejects }) => {
      const refused = Object.assign(new Error('no'), { code: 'MINE' })
      const value = await store.push({ client, keys: [], ops: [] }, async ({ attempt }) => {
        await rejects(
          attempt(async () => Promise.reject(refused)),
          'MINE',
        )
        const tried = await attempt(async () => 7)
        return { writes: pushWrites(client, { records: [record('a', op('put', 1))] }), value: tried }
      })
      equal(value, 7)
      equal(told((await pull()).rows), [['a', {}]])
      await push()
    },
  ),

  onStage('operations are found by what they were part of', async ({ client, store, peer, push, equal, ok }) => {
    const [mine, other] = [`${client}-x`, `${client}-y`]
    await push({ results: [result('o1')], correlationId: mine })
    await push({ results: [result('o2')], correlationId: other })
    await push({ results: [result('o3')] })
    const found = await peer.trace(mine)
    equal(
      found.map(({ client, op, result }) => ({ client, op, result })),
      [{ client, op: 'o1', result: result('o1').result }],
    )
    ok(Math.abs(found[0]!.atMs - (await store.client(client))!.pushedAtMs!) < LONG_MS)
    equal(await store.trace(`${client}-z`), [])
  }),

  onStage('what a push writes is one version', async ({ push, record, page, equal }) => {
    await push({ records: ['c', 'a', 'b'].map((id) => record(id, op('put', 1))) })
    const { rows } = await page()
    equal(
      rows.map(({ id }) => id),
      ['a', 'b', 'c'],
    )
  }),
]
