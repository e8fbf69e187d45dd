import type { Case } from '@keelson/kernel/conformance'
import type { Stage } from '../stage.ts'
import { C, NODE, onStage, op, told, toldById } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

const SECRET = 'their address'
/** Ahead of every clock. */
const FUTURE_MS = 10 ** 12

export const forgetCases: readonly Case<StoreUnderTest>[] = [
  onStage('a record that is forgotten leaves a tombstone without registers', async (stage) => {
    const { scope, store, record, push, pull, key, equal, ok } = stage
    const before = record('a', op('put', FUTURE_MS, { secret: SECRET }))
    await push({ records: [before, record('b', op('put', 1, { n: 1 }))] })
    const { target } = await pull()
    equal((await store.forget({ scope, c: C, id: 'a' }, NODE)).records, 1)
    const { rows } = await pull({ floor: target })
    equal(told(rows), [['a', 'erased']])
    const { state } = rows[0]!
    equal([state.registers, state.isDeleted, state.deletedAt], [{}, true, state.h])
    ok(state.h > before.state.h, 'it comes after all that was done to it')
    equal(told((await pull()).rows), [['b', { n: 1 }]])
    equal((await push({}, { keys: [key('a')] })).records[0]?.gone, 'erased')
    equal(await store.forget({ scope, c: C, id: 'a' }, NODE).then(({ records }) => records), 0, 'once more')
    equal(await store.forget({ scope, c: C, id: 'z' }, NODE), { records: 0, clients: [] })
  }),

  onStage('a scope is forgotten whole, and no other', async ({ scope, below, store, change, pull, equal }) => {
    await change(...['a', 'b', 'c'].map((id) => ({ t: 'put' as const, id, set: { secret: SECRET } })))
    await change({ t: 'put', id: 'a', scope: below, set: { n: 1 } }, { t: 'put', id: 'd', c: 'tag' })
    const { target } = await pull()
    equal((await store.forget({ scope }, NODE)).records, 4)
    equal((await pull()).rows, [])
    const { rows } = await pull({ floor: target })
    equal(toldById(rows), [
      ['a', 'erased'],
      ['b', 'erased'],
      ['c', 'erased'],
      ['d', 'erased'],
    ])
    equal(told((await pull({ scopes: [{ name: below, isKnown: false }] })).rows), [['a', { n: 1 }]])
  }),

  onStage('a person is forgotten in one scope, and nobody else', async (stage) => {
    const { scope, below, store, change, pull, equal } = stage
    const [ann, bob] = ['digest of ann', 'digest of bob']
    await change(
      { t: 'put', id: 'a', set: { secret: SECRET }, subject: ann },
      { t: 'put', id: 'b', set: { n: 1 }, subject: bob },
      { t: 'put', id: 'c', set: { n: 2 } },
      { t: 'put', id: 'd', scope: below, set: { n: 3 }, subject: ann },
    )
    equal((await store.forget({ scope, subject: ann }, NODE)).records, 1)
    equal(toldById((await pull()).rows), [
      ['b', { n: 1 }],
      ['c', { n: 2 }],
    ])
    equal((await pull({ scopes: [{ name: below, isKnown: false }] })).rows.length, 1)
    equal(await store.ofSubject(scope, ann, undefined, 9), [])
  }),

  onStage('what was deleted is erased too, and whom it was about is not forgotten', async (stage) => {
    const { scope, store, record, push, pull, conflict, equal } = stage
    const ann = 'digest of ann'
    const [a, b] = ['a', 'b'].map((id) => record(id, op('put', 1, { secret: SECRET })))
    await push({ records: [a!, b!], subjects: new Map([[0, ann]]) })
    const { target } = await pull()
    const dead = ['a', 'b'].map((id) => record(id, op('put', 1, { secret: SECRET }), op('delete', 2)))
    await push({ records: dead, conflicts: [conflict({ record: 'a' }), conflict({ record: 'b' })] })
    equal((await store.forget({ scope, subject: ann }, NODE)).records, 1)
    equal(toldById((await pull({ floor: target })).rows), [
      ['a', 'erased'],
      ['b', 'deleted'],
    ])
    const open = await store.conflicts({ scopes: [scope], status: 'open', limit: 9 })
    equal(
      open.map((row) => row.record),
      ['b'],
    )
  }),

  onStage('a person is forgotten in edits of what never came to be, or is about somebody else now', async (stage) => {
    const { scope, below, client, store, peer, record, push, conflict, equal } = stage
    const [ann, bob] = ['digest of ann', 'digest of bob']
    const edit = (id: string, where = scope) => conflict({ record: id, scope: where, current: { secret: SECRET } })
    const [never, both, bobs, nobodys] = [edit('never'), edit('both'), edit('never'), edit('never')]
    const [elsewhere, met, passing] = [edit('never', below), edit('passed on'), edit('passed on')]
    await push({ records: [record('passed on', op('put', 1))], subjects: new Map([[0, ann]]) })
    await push({
      conflicts: [never, both, bobs, nobodys, elsewhere, met],
      conflictSubjects: new Map([
        [never.id, [ann]],
        [both.id, [bob, ann]],
        [bobs.id, [bob]],
        [elsewhere.id, [ann]],
      ]),
    })
    // What was decided keeps its values, too.
    await push({ resolved: [both.id] })
    await push({
      records: [record('passed on', op('put', 1), op('put', 2, { n: 1 }))],
      subjects: new Map([[0, bob]]),
      conflicts: [passing],
    })
    equal(await store.forget({ scope, subject: ann }, NODE), { records: 0, clients: [client] })
    const left = async () => {
      const rows = [never, both, bobs, nobodys, elsewhere, met, passing].map(({ id }) => peer.conflict(id))
      return (await Promise.all(rows)).map((row) => row?.id).filter((id) => id !== undefined)
    }
    equal(await left(), [bobs.id, nobodys.id, elsewhere.id])
    equal(await store.forget({ scope, subject: ann }, NODE), { records: 0, clients: [] })
    equal((await store.forget({ scope, subject: bob }, NODE)).records, 1)
    equal(await left(), [nobodys.id, elsewhere.id])
  }),

  onStage('conflicts tell nothing any more of what is forgotten', async (stage) => {
    const { scope, below, store, record, push, pull, conflict, equal } = stage
    const theirs = { ...conflict(), scope: below, record: 'a' }
    const kept = conflict({ record: 'b' })
    await push({
      records: [record('a', op('put', 1, { secret: SECRET }))],
      conflicts: [conflict({ record: 'a', current: { secret: SECRET } }), theirs, kept],
    })
    await store.forget({ scope, c: C, id: 'a' }, NODE)
    equal((await everything(stage)).includes(SECRET), false)
    const open = await store.conflicts({ scopes: [scope, below], status: 'open', limit: 9 })
    equal(open.map(({ id }) => id).toSorted(), [theirs.id, kept.id].toSorted())
    equal((await pull()).rows, [])
    await store.forget({ scope }, NODE)
    equal(await store.conflicts({ scopes: [scope], status: 'open', limit: 9 }), [])
  }),

  onStage('it says which devices wrote there', async ({ scope, client, store, record, push, change, equal }) => {
    const [first, second, third] = [`${client}-1`, `${client}-2`, `${client}-3`]
    const write = (of: string, id: string, ms: number) =>
      push(
        { client: { client: of, principal: 'ann', pushed: 1, offsetMs: 0 }, records: [record(id, op('put', ms))] },
        { client: of },
      )
    await write(first, 'a', 1)
    await write(second, 'a', 2)
    await write(third, 'b', 3)
    await change({ t: 'put', id: 'c' })
    const { clients } = await store.forget({ scope, c: C, id: 'a' }, NODE)
    equal(clients.toSorted(), [first, second])
    equal((await store.forget({ scope, c: C, id: 'c' }, NODE)).clients, [])
    equal((await store.forget({ scope }, NODE)).clients.includes(third), true)
  }),
]

/** What pushes, lists and pulls still say. */
async function everything({ scope, below, store, push, pull, key }: Stage): Promise<string> {
  const { records } = await push({}, { keys: [key('a')] })
  const listed = await store.conflicts({ scopes: [scope], status: 'open', limit: 9 })
  const told = [records, listed, (await pull()).rows]
  return JSON.stringify([told, (await pull({ scopes: [{ name: below, isKnown: false }] })).rows])
}
