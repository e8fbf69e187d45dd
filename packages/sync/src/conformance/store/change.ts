import type { Case } from '@keelson/kernel/conformance'
import { isStamp, parseStamp } from '../../stamp.ts'
import { LONG_MS, NODE, at, onStage, op, told, toldById } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

/** A year ahead of every clock. */
const FUTURE_MS = 31_536_000_000

export const changeCases: readonly Case<StoreUnderTest>[] = [
  onStage('a put makes a record, and merges with one that is there', async ({ change, pull, now, equal, ok }) => {
    const [first] = await change({ t: 'put', id: 'a', set: { n: 1, m: 1 } })
    ok(isStamp(first), 'a stamp')
    const { ms, node } = parseStamp(first!)
    equal(node, NODE)
    ok(Math.abs(ms - (await now())) < LONG_MS, 'by the store’s clock')
    const [second] = await change({ t: 'put', id: 'a', set: { n: 2 }, unset: ['m'] })
    ok(second! > first!, 'stamps grow')
    const { rows } = await pull()
    equal(told(rows), [['a', { n: 2 }]])
    equal(rows[0]!.state, { registers: { n: [2, second!], m: [second!] }, h: second!, isDeleted: false })
  }),

  onStage('a patch changes what is there, and makes nothing', async ({ change, pull, equal }) => {
    await change({ t: 'put', id: 'a', set: { n: 1, m: 1 } })
    const { target } = await pull()
    equal(await change({ t: 'patch', id: 'b', set: { n: 1 } }), [null])
    equal((await pull({ floor: target })).rows, [])
    const [stamp] = await change({ t: 'patch', id: 'a', set: { n: 2 } })
    const { rows } = await pull()
    equal(told(rows), [['a', { n: 2, m: 1 }]])
    equal(rows[0]!.state.h, stamp)
  }),

  onStage('a delete leaves a tombstone without values', async ({ change, pull, equal }) => {
    await change({ t: 'put', id: 'a', set: { n: 1 } })
    const { target, rows: before } = await pull()
    const [stamp, nothing] = await change({ t: 'delete', id: 'a' }, { t: 'delete', id: 'b' })
    equal(nothing, null)
    const { rows } = await pull({ floor: target })
    equal(told(rows), [['a', 'deleted']])
    const n = [before[0]!.state.h] as const
    equal(rows[0]!.state, { registers: { n }, h: stamp!, deletedAt: stamp!, isDeleted: true })
    equal(await change({ t: 'delete', id: 'a' }, { t: 'patch', id: 'a', set: { n: 2 } }), [null, null])
    const [again] = await change({ t: 'put', id: 'a', set: { m: 3 } })
    const last = (await pull()).rows[0]!
    equal([last.state.deletedAt, last.state.registers], [stamp, { n: [n[0]], m: [3, again!] }])
    equal(told([last]), [['a', { m: 3 }]])
  }),

  onStage('a change wins over whatever it meets', async ({ record, push, change, pull, equal, ok }) => {
    const ahead = record('a', op('put', FUTURE_MS * 5, { n: 1 }), op('patch', FUTURE_MS * 4, { m: 1 }))
    await push({ records: [ahead, record('b', op('put', 1), op('delete', FUTURE_MS * 5))] })
    const [patched, deleted, put] = await change(
      { t: 'patch', id: 'a', set: { n: 2 } },
      { t: 'delete', id: 'a' },
      { t: 'put', id: 'b', set: { n: 3 } },
    )
    ok(patched! > ahead.state.h && deleted! > patched! && put! > ahead.state.h)
    equal(toldById((await pull()).rows), [['b', { n: 3 }]])
    const { rows } = await pull({ floor: (await pull()).target })
    equal(rows, [])
  }),

  onStage('changes of one call see each other, and are one version', async ({ change, pull, page, equal, ok }) => {
    const stamps = await change(
      { t: 'put', id: 'a', set: { n: 1 } },
      { t: 'patch', id: 'a', set: { n: 2, m: [1, { deep: null }] } },
      { t: 'put', id: 'b' },
      { t: 'delete', id: 'b' },
      { t: 'patch', id: 'b', set: { n: 1 } },
      { t: 'put', id: 'A' },
    )
    equal(
      stamps.map((stamp) => stamp !== null),
      [true, true, true, true, false, true],
    )
    ok(stamps[0]! < stamps[1]! && stamps[2]! < stamps[3]!)
    equal(told((await pull()).rows), [
      ['A', {}],
      ['a', { n: 2, m: [1, { deep: null }] }],
    ])
    equal((await page({ limit: 1 })).more, true)
  }),

  onStage('a move leaves a tombstone there, and the document here', async (stage) => {
    const { scope, below, change, pull, record, push, equal, ok } = stage
    await push({ records: [record('a', op('put', FUTURE_MS, { n: 1, m: 1 }))] })
    await change({ t: 'put', id: 'z', scope: below })
    const scopes = [
      { name: scope, isKnown: true },
      { name: below, isKnown: true },
    ]
    const { target } = await pull({ scopes })
    const [stamp, nothing, gone] = await change(
      { t: 'move', id: 'a', to: below, set: { n: 2 } },
      { t: 'move', id: 'b', to: below },
      { t: 'move', id: 'a', to: below },
    )
    equal([nothing, gone], [null, null])
    ok(stamp! > at(FUTURE_MS))
    const { rows } = await pull({ scopes, floor: target })
    const shown = rows.map(({ scope: of, gone, isNew, state }) => [of, gone, isNew, state.h])
    equal(shown, [
      [scope, 'scope', false, stamp],
      [below, undefined, true, stamp],
    ])
    equal(told(rows), [
      ['a', 'scope'],
      ['a', { n: 2, m: 1 }],
    ])
    ok(
      Object.values(rows[0]!.state.registers).every((register) => register.length === 1),
      'its values are gone',
    )
    const [back] = await change({ t: 'move', id: 'a', scope: below, to: scope })
    ok(back! > stamp!)
    equal(told((await pull()).rows), [['a', { n: 2, m: 1 }]])
  }),

  onStage('changes of one record at once all count', async ({ change, together, pull, equal }) => {
    const fields = Array.from({ length: 16 }, (_, i) => `f${String(i).padStart(2, '0')}`)
    const stamps = await together(16, (i) => change({ t: 'put', id: 'a', set: { [fields[i]!]: i } }))
    equal(new Set(stamps.flat()).size, 16, 'no stamp twice')
    const { rows } = await pull()
    equal(
      Object.entries(told(rows)[0]?.[1] ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1)),
      fields.map((field, i) => [field, i]),
    )
  }),

  onStage('a person is found by what is about them', async ({ scope, below, store, change, push, record, equal }) => {
    const [ann, bob] = ['digest of ann', 'digest of bob']
    await change(
      { t: 'put', id: 'a', set: { n: 1 }, subject: ann },
      { t: 'put', id: 'b', subject: bob },
      { t: 'put', id: 'c', c: 'tag', subject: ann },
      { t: 'put', id: 'd', scope: below, subject: ann },
    )
    await push({ records: [record('e', op('put', 1)), record('f', op('put', 1))], subjects: new Map([[1, ann]]) })
    const found = async (of: string, after?: Parameters<typeof store.ofSubject>[2], limit = 9) =>
      (await store.ofSubject(scope, of, after, limit)).map(({ c, id }) => `${c} ${id}`)
    equal(await found(ann), ['tag c', 'task a', 'task f'])
    equal(await found(ann, undefined, 2), ['tag c', 'task a'])
    equal(await found(ann, { scope, c: 'tag', id: 'c' }, 1), ['task a'])
    equal(await found(ann, { scope, c: 'task', id: 'f' }), [])
    equal(await found('digest of'), [])
    equal(told(await store.ofSubject(below, ann, undefined, 9)), [['d', {}]])
    equal(told(await store.ofSubject(scope, bob, undefined, 9)), [['b', {}]])
    await change({ t: 'patch', id: 'a', set: { n: 2 } }, { t: 'delete', id: 'f' })
    equal(await found(ann), ['tag c', 'task a'])
  }),

  onStage('which scopes changed is known by a token', async ({ scope, below, store, peer, change, equal }) => {
    const scopes = [scope, below, `${scope}/never`]
    const { token, scopes: none } = await store.changed(null, scopes)
    equal([none, (await peer.changed(token, scopes)).scopes], [[], []])
    await change({ t: 'put', id: 'a' })
    const first = await peer.changed(token, scopes)
    equal(first.scopes, [scope])
    equal((await store.changed(first.token, scopes)).scopes, [])
    await change({ t: 'delete', id: 'a' }, { t: 'put', id: 'b', scope: below })
    equal((await store.changed(first.token, scopes)).scopes.toSorted(), [scope, below].toSorted())
    equal((await store.changed(first.token, [below])).scopes, [below])
    equal((await store.changed(token, [])).scopes, [])
  }),
]
