import type { Case } from '@keelson/kernel/conformance'
import type { ServerChange } from '../../store.ts'
import type { Stage } from '../stage.ts'
import { C, NODE, onStage, op, pushWrites, told, toldById } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

/** What commits with the caller's own rows, while others commit too. */
export const transactionCases: readonly Case<StoreUnderTest>[] = [
  inTx('what is not committed is not there, and what is rolled back never was', async (stage) => {
    const { begin, pull, equal } = stage
    const one = await begin()
    await stage.store.change([put(stage, 'a')], NODE, one)
    equal((await pull()).rows, [])
    await one.rollback()
    const { rows, target } = await pull()
    equal(rows, [])
    equal((await stage.store.changed(target, [stage.scope])).scopes, [])
  }),

  inTx('who commits late is late, and nobody else', async (stage) => {
    const { scope, store, begin, change, pull, equal } = stage
    const slow = await begin()
    await store.change([put(stage, 'slow')], NODE, slow)
    const { token } = await store.changed(null, [scope])
    await change({ t: 'put', id: 'quick' })
    const first = await pull()
    equal(told(first.rows), [['quick', {}]], 'at once')
    equal((await store.changed(token, [scope])).scopes, [scope])
    await change({ t: 'put', id: 'later' })
    const second = await pull({ floor: first.target })
    equal(told(second.rows), [['later', {}]])
    const after = await store.changed(token, [scope])
    await slow.commit()
    equal((await store.changed(after.token, [scope])).scopes, [scope])
    const third = await pull({ floor: second.target })
    equal(told(third.rows), [['slow', {}]], 'and not lost')
    equal((await pull({ floor: third.target })).rows, [])
    equal(toldById((await pull({ floor: first.target, limit: 1 })).rows), [
      ['later', {}],
      ['slow', {}],
    ])
  }),

  inTx('a commit between two pages comes with the next pull', async (stage) => {
    const { store, begin, change, page, pull, equal } = stage
    const slow = await begin()
    await store.change([put(stage, 'slow')], NODE, slow)
    await change(...['a', 'b', 'c'].map((id) => ({ t: 'put' as const, id })))
    const first = await page({ limit: 1 })
    await slow.commit()
    const rest = await pull({ target: first.target, after: first.rows[0]!.place, limit: 1 })
    equal(
      rest.rows.map(({ id }) => id),
      ['b', 'c'],
    )
    equal(told((await pull({ floor: first.target })).rows), [['slow', {}]])
  }),

  inTx('many that are open at once are each told when they commit', async (stage) => {
    const { store, begin, pull, equal } = stage
    const open = []
    for (let i = 0; i < 6; i++) {
      const one = await begin()
      await store.change([put(stage, `r${i}`)], NODE, one)
      open.push(one)
    }
    let floor = (await pull()).target
    for (const i of [3, 0, 5, 1]) {
      await open[i]!.commit()
      const { rows, target } = await pull({ floor })
      equal(
        rows.map(({ id }) => id),
        [`r${i}`],
      )
      floor = target
    }
    await open[2]!.rollback()
    await open[4]!.commit()
    equal(told((await pull({ floor })).rows), [['r4', {}]])
  }),

  inTx('what a savepoint takes back was never written', async (stage) => {
    const { store, begin, pull, equal } = stage
    const one = await begin()
    const { target } = await pull()
    await store.change([put(stage, 'a')], NODE, one)
    await one.tx.query('savepoint s')
    await store.change([put(stage, 'b')], NODE, one)
    await one.tx.query('rollback to savepoint s')
    await store.change([put(stage, 'c')], NODE, one)
    await one.commit()
    equal(toldById((await pull({ floor: target })).rows), [
      ['a', {}],
      ['c', {}],
    ])
  }),

  inTx(
    'a prepared transaction is told when it commits',
    async (stage) => {
      const { store, begin, change, pull, equal } = stage
      const one = await begin()
      await store.change([put(stage, 'a')], NODE, one)
      const prepared = await one.prepare!()
      try {
        await change({ t: 'put', id: 'b' })
        const { rows, target } = await pull()
        equal(told(rows), [['b', {}]])
        await prepared.commit()
        equal(told((await pull({ floor: target })).rows), [['a', {}]])
      } catch (error) {
        await prepared.rollback().catch(() => {})
        throw error
      }
    },
    'prepared',
  ),

  inTx('a record that somebody else writes is busy; the others are not', async (stage) => {
    const { client, store, begin, change, key, pull, push, record, equal } = stage
    await change({ t: 'put', id: 'a', set: { n: 1 } }, { t: 'put', id: 'b', set: { n: 1 } })
    const one = await begin()
    await store.change([{ ...put(stage, 'a'), t: 'patch', set: { n: 2 } }], NODE, one)
    const state = await store.push({ client, keys: [key('a'), key('b')], ops: [] }, async ({ state }) => ({
      value: state,
      writes: pushWrites(client, { records: [record('b', op('put', 1, { n: 3 }))] }),
    }))
    equal(state.busy, [key('a')])
    equal(
      state.records.filter(({ id }) => id === 'b').map(({ id }) => id),
      ['b'],
    )
    await one.commit()
    equal(toldById((await pull()).rows), [
      ['a', { n: 2 }],
      ['b', { n: 3 }],
    ])
    equal((await push({}, { keys: [key('a')] })).busy, [])
  }),

  inTx('a push in a transaction is part of it', async (stage) => {
    const { client, store, begin, record, pull, conflict, equal } = stage
    const result = { op: 'o1', fp: 'f1', result: JSON.stringify({ op: 'o1', status: 'applied' }) }
    const push = async (tx: Awaited<ReturnType<Stage['begin']>>) =>
      store.push(
        { client, keys: [], ops: ['o1'] },
        async ({ state }) => ({
          value: state.results.size,
          writes: pushWrites(client, {
            records: [record('a', op('put', 1))],
            results: state.results.size === 0 ? [result] : [],
            conflicts: state.results.size === 0 ? [conflict()] : [],
          }),
        }),
        tx,
      )
    const undone = await begin()
    equal(await push(undone), 0)
    await undone.rollback()
    equal([(await pull()).rows, await store.client(client), await store.openConflicts(client)], [[], undefined, 0])
    const one = await begin()
    equal(await push(one), 0)
    equal((await pull()).rows, [])
    await one.commit()
    equal([told((await pull()).rows), await store.openConflicts(client)], [[['a', {}]], 1])
  }),

  inTx('changes as statements are part of the transaction that runs them', async (stage) => {
    const { store, begin, change, pull, ok, equal } = stage
    ok(store.transactional && store.changeStatements !== undefined)
    await change({ t: 'put', id: 'a', set: { n: 1 } })
    const statements = store.changeStatements!(
      [{ ...put(stage, 'a'), t: 'patch', set: { n: 2 } }, put(stage, 'b')],
      NODE,
    )
    for (const how of ['rollback', 'commit'] as const) {
      const one = await begin()
      for (const { text, values } of statements) await one.tx.query(text, values)
      equal(told((await pull()).rows), [['a', { n: 1 }]])
      await one[how]()
    }
    equal(toldById((await pull()).rows), [
      ['a', { n: 2 }],
      ['b', {}],
    ])
  }),

  inTx('what a push runs beside its writes commits with them, or not at all', async (stage) => {
    const { client, store, record, pull, equal, rejects } = stage
    const refused = Object.assign(new Error('no'), { code: 'MINE' })
    const push = async (fails: boolean) =>
      store.push({ client, keys: [stage.key('a')], ops: [] }, async ({ tx, attempt }) => {
        await store.change([put(stage, 'in-work')], NODE, { tx: tx! })
        await rejects(
          attempt(async () => {
            await store.change([put(stage, 'tried')], NODE, { tx: tx! })
            throw refused
          }),
          'MINE',
        )
        await attempt(async () => store.change([put(stage, 'tried-again')], NODE, { tx: tx! }))
        if (fails) throw refused
        const statements = store.changeStatements!([put(stage, 'of-an-effect')], NODE)
        return { value: 0, writes: pushWrites(client, { records: [record('a', op('put', 1))], statements }) }
      })
    await rejects(push(true), 'MINE')
    equal((await pull()).rows, [])
    await push(false)
    equal(
      toldById((await pull()).rows).map(([id]) => id),
      ['a', 'in-work', 'of-an-effect', 'tried-again'],
    )
  }),
]

function inTx(name: string, run: (stage: Stage) => Promise<void>, ...more: readonly string[]): Case<StoreUnderTest> {
  return onStage(name, run, 'transactions', ...more)
}

const put = ({ scope }: Stage, id: string): ServerChange => ({ t: 'put', scope, c: C, id, set: {}, unset: [] })
