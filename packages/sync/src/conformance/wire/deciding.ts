import type { Case } from '@keelson/kernel/conformance'
import type { WireServer } from '../wire-server.ts'
import { task, wireCase, type Device, type Stage } from './stage.ts'

const NEVER = 1_000

/** Edits that came to nothing, until somebody decides. */
export const decidingCases: readonly Case<WireServer>[] = [
  wireCase('an edit that came to nothing is kept, with all that is needed to decide', async (stage) => {
    const { device, name, equal, ok } = stage
    const one = device('ann')
    const op = one.op(name('t1'), 'patch', { set: { title: 'mine' } })
    const [result] = await one.push(op)
    const [found] = await conflictsOf(stage, one)
    const { id, c, record, code, client, principal, current, at, s } = found
    equal([id, c, record, code, client], [result!.conflict, 'task', name('t1'), 'gone', one.client])
    equal([found.op, current, typeof principal, /^[\w-]{11}$/.test(s)], [op, null, 'string', true])
    ok(new Date(at).toISOString() === at, `an instant of ISO 8601, in UTC: ${at}`)
    equal(Object.hasOwn(found, 'scope'), false, 'names of scopes do not travel')
  }),

  wireCase('a decision counts once: mine, theirs, or a document', async (stage) => {
    const { device, name, ask, equal } = stage
    const one = device('ann')
    const ids = ['mine', 'theirs', 'doc'].map((word) => name(word))
    await one.push(...ids.map((id) => one.op(id, 'patch', { set: { ...task, title: 'late' } })))
    const found = await conflictsOf(stage, one)
    equal(found.length, 3)
    const whole = { team: 'blue', title: 'whole' }
    const decisions = [{ take: 'mine' }, { take: 'theirs' }, { doc: whole }]
    for (const [i, decision] of [...decisions, ...decisions].entries()) {
      const { id } = found.find(({ record }) => record === ids[i % 3])!
      const { status, body } = await ask('ann', `/conflicts/${id}`, decision)
      equal([status, body.id, body.record], [200, id, ids[i % 3]])
    }
    equal(await conflictsOf(stage, one), [])
    equal((await conflictsOf(stage, one, 'resolved')).length, 3)
    await one.pull()
    equal(
      ids.map((id) => one.rec(id)?.doc),
      [{ ...task, title: 'late' }, undefined, whole],
    )
  }),

  wireCase('conflicts come by pages, each of them once, the oldest first', async (stage) => {
    const { device, name, equal } = stage
    const one = device('ann')
    const ids = Array.from({ length: 5 }, (_, i) => name(`t${i}`))
    for (const id of ids) await one.push(one.op(id, 'patch', { set: { title: 'mine' } }))
    for (const limit of [1, 2, 1_000]) {
      equal(
        (await conflictsOf(stage, one, 'open', limit)).map(({ record }) => record),
        ids,
      )
    }
  }),

  wireCase('a question or a decision that is none is refused, and others see nothing', async (stage) => {
    const { device, name, ask, refused, equal } = stage
    const one = device('ann')
    await one.push(one.op(name('t1'), 'put', { set: { ...task, team: 'red', budget: 1 } }))
    const [result] = await one.push(one.op(name('t1'), 'patch', { set: { budget: 2 } }))
    const id = result!.conflict!
    for (const query of ['limit=0', 'limit=-1', 'limit=x', 'limit=1001', 'status=both', 'who=ann']) {
      refused(await ask('ann', `/conflicts?${query}`), 400, 'input-invalid')
    }
    refused(await ask('ann', '/conflicts?after=x'), 400, 'cursor-invalid')
    for (const decision of [
      {},
      { take: 'both' },
      { take: 'mine', doc: task },
      { doc: 7 },
      { doc: { color: 1 } },
      { by: 1 },
    ]) {
      refused(await ask('ann', `/conflicts/${id}`, decision), 400, 'input-invalid')
    }
    refused(await ask('ann', `/conflicts/${name('none')}`, { take: 'mine' }), 404, 'not-found')
    refused(await ask('bob', `/conflicts/${id}`, { take: 'theirs' }), 404, 'not-found')
    const { body } = await ask('bob', '/conflicts?limit=1000')
    equal(
      body.items.filter((item: { id: string }) => item.id === id),
      [],
    )
    equal((await ask('ann', `/status/${one.client}`)).body.openConflicts, 1)
  }),
]

/** All of a device's. */
async function conflictsOf(
  { ask, equal }: Stage,
  { client, user }: Device,
  status = 'open',
  limit = 1_000,
): Promise<readonly any[]> {
  const items: any[] = []
  let next: string | null = null
  for (let pages = 0; pages < NEVER; pages++) {
    const after: string = next === null ? '' : `&after=${encodeURIComponent(next)}`
    const reply = await ask(user, `/conflicts?status=${status}&limit=${limit}${after}`)
    equal(reply.status, 200)
    items.push(...reply.body.items)
    next = reply.body.next
    if (next === null) break
  }
  return items.filter((item) => item.client === client)
}
