import type { Case } from '@keelson/kernel/conformance'
import type { Json } from '../../json.ts'
import type { WireServer } from '../wire-server.ts'
import { task, told, wireCase } from './stage.ts'

/** Of one of two devices, so that its writes are the earlier ones. */
const EARLIER_MS = -20_000

/** What two devices come to, field by field. */
export const mergingCases: readonly Case<WireServer>[] = [
  wireCase('the later write of a field wins, and the earlier one is told what it lost', async (stage) => {
    const { device, name, equal } = stage
    const [early, late] = [device('ann', EARLIER_MS), device('bob')]
    const id = name('t1')
    await early.push(early.op(id, 'put'))
    await late.push(late.op(id, 'patch', { set: { title: 'late' } }))
    const [partly, wholly] = await early.push(
      early.op(id, 'patch', { set: { title: 'early', done: true } }),
      early.op(id, 'patch', { set: { title: 'hidden' } }),
    )
    equal([partly!.status, partly!.lost], ['applied', ['title']])
    equal([wholly!.status, wholly!.lost], ['superseded', ['title']])
    const doc = { ...task, title: 'late', done: true }
    equal([partly!.rec!.doc, wholly!.rec!.doc], [doc, doc])
    await early.pull()
    await late.pull()
    equal([early.rec(id), late.rec(id)!.doc], [late.rec(id), doc])
  }),

  wireCase('who has seen what they overwrite wins, whatever their clock says', async ({ device, name, equal }) => {
    const [one, slow] = [device('ann'), device('bob', EARLIER_MS)]
    const id = name('t1')
    await one.push(one.op(id, 'put'))
    await slow.pull()
    const [blind] = await slow.push(slow.op(id, 'patch', { set: { title: 'blind' } }))
    equal(told([blind!]), ['superseded'])
    const [seen] = await slow.push(slow.op(id, 'patch', { set: { title: 'seen' }, seen: slow.rec(id)!.h }))
    equal([seen!.status, seen!.lost], ['applied', undefined])
    await one.pull()
    equal(one.rec(id)!.doc, { ...task, title: 'seen' })
  }),

  wireCase('a put merges: fields that it does not name stay; unset takes away, null is a value', async (stage) => {
    const { device, name, equal } = stage
    const one = device('ann')
    const id = name('t1')
    await one.push(
      one.op(id, 'put'),
      one.op(id, 'put', { set: { title: null } }),
      one.op(id, 'patch', { unset: ['done'] }),
    )
    await one.pull()
    equal(one.rec(id)!.doc, { team: 'blue', title: null })
  }),

  wireCase('values come back as they were sent', async ({ device, name, equal }) => {
    const one = device('ann')
    const values: readonly Json[] = [
      { a: [1, -0.5, 1e-7, { b: null }], '': 'ä😀\u2028"\\' },
      [],
      {},
      '',
      false,
      0,
      9_007_199_254_740_991,
      'constructor',
      { constructor: { prototype: 1 }, hasOwnProperty: 2 },
    ]
    await one.push(...values.map((title, i) => one.op(name(`v${i}`), 'put', { set: { ...task, title } })))
    await one.pull()
    equal(
      values.map((_, i) => one.rec(name(`v${i}`))?.doc['title']),
      values,
    )
  }),

  wireCase('what is deleted comes back by a newer put alone, and with nothing of before', async (stage) => {
    const { device, name, equal } = stage
    const [early, late] = [device('ann', EARLIER_MS), device('bob')]
    const id = name('t1')
    await early.push(early.op(id, 'put'))
    equal(told(await late.push(late.op(id, 'delete'))), ['applied'])
    const [older, patched] = await early.push(early.op(id, 'put'), early.op(id, 'patch', { set: { done: true } }))
    equal([older!.status, older!.lost, older!.rec], ['superseded', ['*'], null])
    equal([told([patched!]), patched!.rec, typeof patched!.conflict], [['conflict gone'], null, 'string'])
    await early.pull()
    equal(early.rec(id), undefined)
    equal(told(await late.push(late.op(id, 'put', { set: { title: 'again' } }))), ['applied'])
    await early.pull()
    equal(early.rec(id)!.doc, { title: 'again' })
  }),

  wireCase('an older delete takes nothing away', async ({ device, name, equal }) => {
    const [early, late] = [device('ann', EARLIER_MS), device('bob')]
    const id = name('t1')
    await late.push(late.op(id, 'put'))
    const [lost] = await early.push(early.op(id, 'delete'))
    equal([lost!.status, lost!.rec!.doc], ['superseded', task])
    await early.pull()
    equal(early.rec(id)!.doc, task)
  }),

  wireCase('a patch of what is not there makes nothing, a delete of it has nothing to do', async (stage) => {
    const { device, name, equal } = stage
    const one = device('ann')
    const [missing] = await one.push(one.op(name('t1'), 'patch', { set: task }))
    equal([told([missing!]), typeof missing!.conflict], [['conflict gone'], 'string'])
    equal(told(await one.push(one.op(name('t2'), 'delete'))), ['applied'])
    await one.pull()
    equal([one.rec(name('t1')), one.rec(name('t2'))], [undefined, undefined])
  }),

  wireCase('a strict field is written by who read it, or the whole operation is a conflict', async (stage) => {
    const { device, name, equal } = stage
    const [one, two] = [device('ann'), device('bob')]
    const id = name('t1')
    await one.push(one.op(id, 'put', { set: { ...task, budget: 1 } }))
    await one.pull()
    await two.pull()
    const { hs, h } = one.rec(id)!
    equal(Object.keys(hs ?? {}).toSorted(), ['budget', 'done', 'team', 'title'])
    equal(told(await one.push(one.op(id, 'patch', { set: { budget: 2 }, base: { budget: hs!['budget'] } }))), [
      'applied',
    ])
    for (const base of [h, hs, undefined]) {
      const [lost] = await two.push(two.op(id, 'patch', { set: { budget: 3, title: 'no' }, ...(base && { base }) }))
      equal([told([lost!]), lost!.rec!.doc], [['conflict stale-base'], { ...task, budget: 2 }])
    }
    await two.pull()
    equal(told(await two.push(two.op(id, 'patch', { set: { budget: 3 }, base: two.rec(id)!.h }))), ['applied'])
  }),
]
