import type { Case } from '@keelson/kernel/conformance'
import type { WireServer } from '../wire-server.ts'
import { task, told, wireCase } from './stage.ts'

/** Longer than an answer takes that does not wait. */
const SHORT_MS = 300
const LONG_MS = 25_000

/** Snapshots, deltas, pages, and what makes a device start over. */
export const pullingCases: readonly Case<WireServer>[] = [
  wireCase('a device gets what is there, then what is new, and nothing twice', async (stage) => {
    const { device, name, equal } = stage
    const [one, two] = [device('ann'), device('bob')]
    const [a, b, c] = [name('a'), name('b'), name('c')]
    await one.push(one.op(a, 'put'), one.op(b, 'put'), one.op(c, 'put'), one.op(c, 'delete'))
    const first = await two.pull()
    equal(
      first.map(({ mode }) => mode),
      first.map(() => 'snapshot'),
    )
    equal([two.rec(a)!.doc, two.rec(b)!.doc, two.rec(c)], [task, task, undefined])
    await one.push(one.op(a, 'patch', { set: { done: true } }), one.op(b, 'delete'))
    const [delta, ...rest] = await two.pull()
    equal([delta!.mode, rest.length, two.rec(a)!.doc, two.rec(b)], ['delta', 0, { ...task, done: true }, undefined])
    const why = delta!.changes['task']!.deleted.filter(({ id }) => id === b).map((row) => row.why)
    equal(why, ['deleted'])
    const [nothing] = await two.pull()
    equal([idsIn(nothing!.changes, [a, b, c]), nothing!.more], [[], false])
  }),

  wireCase('pages are as long as asked for, and together they are everything, once', async (stage) => {
    const { device, name, equal, ok } = stage
    const [one, two] = [device('ann'), device('bob')]
    const ids = Array.from({ length: 23 }, (_, i) => name(`t${i}`))
    await two.pull()
    await one.push(...ids.map((id) => one.op(id, 'put')))
    const pages = await two.pull({ limit: 5 })
    const rows = pages.map(({ changes }) => rowsIn(changes))
    ok(
      rows.every(({ length }) => length <= 5),
      'a page is not longer',
    )
    equal(
      rows
        .flat()
        .map(({ id }) => id)
        .filter((id) => ids.includes(id))
        .toSorted(),
      ids.toSorted(),
    )
    ok(pages.length >= 5, 'they are pages')
  }),

  wireCase('what is written between two pages comes, then or later', async ({ device, name, equal, ok }) => {
    const [one, two] = [device('ann'), device('bob')]
    const ids = Array.from({ length: 10 }, (_, i) => name(`t${i}`))
    await two.pull()
    await one.push(...ids.map((id) => one.op(id, 'put')))
    const page = await two.page({ limit: 3 })
    ok(page.more, 'there is more')
    await one.push(...ids.map((id) => one.op(id, 'patch', { set: { done: true } })), one.op(name('late'), 'put'))
    await two.pull({ limit: 3 })
    await two.pull()
    equal(
      [...ids, name('late')].map((id) => two.rec(id)?.doc),
      [...ids.map(() => ({ ...task, done: true })), task],
    )
  }),

  wireCase('a record comes with the stamps of its fields for who asks, or has strict ones', async (stage) => {
    const { device, name, equal } = stage
    const one = device('ann')
    const id = name('n1')
    const [put] = await one.push({ ...one.op(id, 'put'), c: 'note', set: { text: 'a' } })
    await one.pull()
    equal(one.rec(id), { id, s: one.rec(id)!.s, h: put!.h!, doc: { text: 'a' } })
    const other = device('ann')
    await other.pull({ hs: true })
    equal(other.rec(id), { id, s: one.rec(id)!.s, h: put!.h!, doc: { text: 'a' }, hs: { text: put!.h! } })
  }),

  wireCase('a cursor is good for its list of collections, and for another time', async (stage) => {
    const { device, name, ask, refused, equal } = stage
    const [one, two] = [device('ann'), device('bob')]
    const [n, t] = [name('n1'), name('t1')]
    await two.pull({ collections: ['note'] })
    const { cursor } = two
    await one.push({ ...one.op(n, 'put'), c: 'note', set: { text: 'a' } }, one.op(t, 'put'))
    await two.pull({ collections: ['note'] })
    equal([two.rec(n)!.doc, two.rec(t)], [{ text: 'a' }, undefined])
    for (const more of [{}, { collections: ['task'] }, { collections: ['note', 'task'] }]) {
      refused(await ask('bob', '/pull', { v: 1, cursor, ...more }), 400, 'cursor-invalid')
    }
    const again = await ask('bob', '/pull', { v: 1, cursor, collections: ['note'] })
    equal(idsIn(again.body.changes, [n]), [n])
  }),

  wireCase('one collection has routes of its own, where its name may be left out', async (stage) => {
    const { device, name, ask, refused, equal } = stage
    const one = device('ann')
    const op = one.op(name('n1'), 'put', { c: undefined, set: { text: 'a' } })
    const { body } = await ask('ann', '/note/push', { v: 1, client: one.client, ops: [op, { ...op, c: 'note' }] })
    equal(
      body.results.map(({ status, replay }: { status: string; replay?: boolean }) => [status, replay]),
      [
        ['applied', undefined],
        ['applied', true],
      ],
    )
    const pulled = await ask('ann', '/note/pull', { v: 1, cursor: null })
    equal([pulled.status, Object.keys(pulled.body.changes)], [200, ['note']])
    const other = [{ ...one.op(name('t1'), 'put'), c: 'task' }]
    refused(await ask('ann', '/note/push', { v: 1, client: one.client, ops: other }), 400, 'request-invalid')
    const list = { v: 1, cursor: null, collections: ['task'] }
    refused(await ask('ann', '/note/pull', list), 400, 'request-invalid')
    refused(await ask('ann', '/nothing/pull', { v: 1, cursor: null }), 404, 'not-found')
    refused(await ask('ann', '/nothing/push', { v: 1, client: one.client, ops: [] }), 404, 'not-found')
  }),

  wireCase('a pull that waits is answered at the first change, or when its time is over', async (stage) => {
    const { device, name, equal, ok } = stage
    const [one, two] = [device('ann'), device('bob')]
    await two.pull()
    const waiting = two.page({ waitMs: LONG_MS })
    const id = name('t1')
    await one.push(one.op(id, 'put'))
    const beganMs = performance.now()
    equal([(await waiting).more, two.rec(id)?.doc], [false, task])
    ok(performance.now() - beganMs < LONG_MS / 2, 'it does not wait for its time')
    // Of what others see it hears nothing.
    const quiet = two.page({ waitMs: SHORT_MS })
    await one.push(one.op(name('t2'), 'put', { set: { ...task, team: 'red' } }))
    const page = await quiet
    equal([idsIn(page.changes, [name('t2')]), page.more], [[], false])
    await one.push(one.op(id, 'delete'))
    await two.pull()
    equal(two.rec(id), undefined)
  }),

  wireCase('another schema makes a device start over, which keeps what it has not sent', async (stage) => {
    const { device, name, ask, refused, equal } = stage
    const one = device('ann')
    const ops = [one.op(name('t1'), 'put')]
    const schema = 999_999
    refused(await ask('ann', '/push', { v: 1, client: one.client, schema, ops }), 410, 'schema-changed')
    refused(await ask('ann', '/pull', { v: 1, cursor: null, schema }), 410, 'schema-changed')
    equal(told(await one.push(...ops)), ['applied'])
  }),

  wireCase(
    'another history of the database makes a device start over, and its edits still count once',
    async ({ server, device, name, ask, refused, equal }) => {
      const one = device('ann')
      const [sent, kept] = [one.op(name('t1'), 'put'), one.op(name('t2'), 'put')]
      await one.push(sent)
      await one.pull()
      await server.rebase!()
      refused(await ask('ann', '/pull', { v: 1, cursor: one.cursor }), 410, 'epoch-changed')
      const results = await one.push(sent, kept)
      equal(
        results.map(({ status, replay }) => [status, replay]),
        [
          ['applied', true],
          ['applied', undefined],
        ],
      )
      const other = device('ann')
      const [page] = await other.pull()
      equal([page!.mode, other.rec(name('t1'))?.doc, other.rec(name('t2'))?.doc], ['snapshot', task, task])
    },
    'rebase',
  ),
]

type Pages = Readonly<Record<string, { readonly [kind: string]: readonly { readonly id: string }[] }>>

const rowsIn = (changes: object): readonly { readonly id: string }[] =>
  Object.values(changes as Pages).flatMap((own) => Object.values(own).flat())

/** Which of these came. */
const idsIn = (changes: object, ids: readonly string[]): readonly string[] =>
  rowsIn(changes)
    .map(({ id }) => id)
    .filter((id) => ids.includes(id))
