import type { Case } from '@keelson/kernel/conformance'
import type { WireServer } from '../wire-server.ts'
import { task, told, wireCase } from './stage.ts'

const TAG = /^[A-Za-z0-9_-]{11}$/
const red = { ...task, team: 'red' }

/** Who sees what, and what they are told of the rest. */
export const scopeCases: readonly Case<WireServer>[] = [
  wireCase('each sees what is theirs, by tags that say no names', async ({ device, name, equal, ok }) => {
    const [ann, bob] = [device('ann'), device('bob')]
    const [r, b] = [name('r'), name('b')]
    await ann.push(ann.op(r, 'put', { set: red }), ann.op(b, 'put'))
    await ann.pull()
    await bob.pull()
    equal([ann.rec(r)!.doc, bob.rec(r), bob.rec(b)], [red, undefined, ann.rec(b)])
    ok(TAG.test(ann.rec(r)!.s) && TAG.test(ann.rec(b)!.s), 'tags')
    ok(ann.rec(r)!.s !== ann.rec(b)!.s, 'a tag is that of its scope')
  }),

  wireCase('what somebody else sees is not written, and nothing of it is told', async (stage) => {
    const { device, name, ask, equal, ok } = stage
    const [ann, bob] = [device('ann'), device('bob')]
    const id = name('r')
    await ann.push(ann.op(id, 'put', { set: { ...red, title: 'the secret' } }))
    await ann.pull()
    const { s } = ann.rec(id)!
    const ops = [
      bob.op(id, 'patch', { s, set: { done: true } }),
      bob.op(id, 'delete', { s }),
      bob.op(name('other'), 'put', { set: red }),
      bob.op(name('mine'), 'put'),
      bob.op(name('mine'), 'patch', { set: { team: 'red' } }),
    ]
    const { body } = await ask('bob', '/push', { v: 1, client: bob.client, ops })
    const lost = 'conflict scope-lost'
    equal(told(body.results), [lost, lost, lost, 'applied', lost])
    ok(!JSON.stringify(body).includes('the secret'), 'no results tell of it')
    const { body: conflicts } = await ask('bob', '/conflicts')
    ok(!JSON.stringify(conflicts).includes('the secret'), 'no conflicts tell of it')
    await ann.pull()
    equal([ann.rec(id)!.doc, ann.rec(name('other'))], [{ ...red, title: 'the secret' }, undefined])
  }),

  wireCase('equal ids of two scopes never meet', async ({ device, name, equal }) => {
    const [ann, bob] = [device('ann'), device('bob')]
    const id = name('same')
    await ann.push(ann.op(id, 'put', { set: red }))
    equal(told(await bob.push(bob.op(id, 'put'))), ['applied'])
    equal(told(await bob.push(bob.op(id, 'patch', { set: { title: 'bob’s' } }))), ['applied'])
    await bob.pull()
    equal(bob.rec(id)!.doc, { ...task, title: 'bob’s' })
    const [page] = await ann.pull()
    const mine = page!.changes['task']!.created.filter((rec) => rec.id === id)
    const hasTeam = (team: string): boolean => mine.some(({ doc }) => doc['team'] === team)
    equal([mine.length, hasTeam('red'), hasTeam('blue')], [2, true, true])
  }),

  wireCase('what moves out of sight goes, and is told under its new tag to who sees that', async (stage) => {
    const { device, name, equal } = stage
    const [ann, bob] = [device('ann'), device('bob')]
    const id = name('t1')
    await ann.push(ann.op(id, 'put'))
    await ann.pull()
    await bob.pull()
    const { s } = ann.rec(id)!
    await ann.push(ann.op(id, 'patch', { set: { team: 'red' }, seen: ann.rec(id)!.h }))
    const [seen] = await ann.pull()
    const deleted = seen!.changes['task']!.deleted.filter((row) => row.id === id)
    equal(
      deleted.map((row) => [row.s, row.why]),
      [[s, 'scope']],
    )
    equal(ann.rec(id)!.doc, red)
    await bob.pull()
    equal(bob.rec(id), undefined)
    await ann.push(ann.op(id, 'patch', { set: { team: 'blue' }, seen: ann.rec(id)!.h }))
    await bob.pull()
    equal([bob.rec(id)!.doc, bob.rec(id)!.s], [task, s])
  }),

  wireCase('a cursor of somebody else gives no right', async ({ device, name, ask, equal }) => {
    const ann = device('ann')
    await ann.pull()
    const { cursor } = ann
    const id = name('r')
    await ann.push(ann.op(id, 'put', { set: red }), ann.op(name('b'), 'put'))
    const { status, body } = await ask('bob', '/pull', { v: 1, cursor })
    const ids = Object.values(body.changes as Record<string, { created: { id: string }[] }>).flatMap(({ created }) =>
      created.map((rec) => rec.id),
    )
    equal([status, ids.includes(id), ids.includes(name('b'))], [200, false, true])
    equal(body.dropped.length, 1)
  }),
]
