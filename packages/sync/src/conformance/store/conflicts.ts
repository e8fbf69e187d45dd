import type { Case } from '@keelson/kernel/conformance'
import type { Stage } from '../stage.ts'
import { at, onStage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

export const conflictCases: readonly Case<StoreUnderTest>[] = [
  onStage('a conflict is kept as it was written, and open', async ({ client, push, peer, conflict, below, equal }) => {
    const row = conflict({
      scope: below,
      c: 'tag',
      record: 'r9',
      code: 'stale-base',
      op: {
        op: 'o9',
        c: 'tag',
        id: 'r9',
        t: 'put',
        h: at(3),
        set: { 'a"b': [1, null] },
        unset: ['x'],
        s: 'tag',
        base: {},
      },
      current: { n: { deep: [] } },
      principal: 'bob',
      atMs: 1_700_000_000_123,
    })
    await push({ conflicts: [row, conflict()] })
    equal(await peer.conflict(row.id), { ...row, status: 'open' })
    equal(await peer.conflicts({ scopes: [below], status: 'open', limit: 10 }), [{ ...row, status: 'open' }])
    equal(await peer.conflict(`${row.id}-x`), undefined)
    equal(await peer.openConflicts(client), 2)
    equal(await peer.openConflicts(`${client}-x`), 0)
  }),

  onStage('conflicts of the caller’s scopes are listed by id, in pages', async (stage) => {
    const { scope, below, push, conflict, equal } = stage
    const made = Array.from({ length: 5 }, () => conflict())
    const theirs = [conflict({ scope: below }), conflict({ scope: `${scope}/x` })]
    await push({ conflicts: [...theirs, ...made.toReversed()] })
    const ids = made.map(({ id }) => id)
    equal(await listed(stage, {}), ids)
    equal(await listed(stage, { limit: 2 }), ids.slice(0, 2))
    equal(await listed(stage, { limit: 2, after: ids[1]! }), ids.slice(2, 4))
    equal(await listed(stage, { after: ids[4]! }), [])
    equal(await listed(stage, { scopes: [below, scope] }), [...ids, theirs[0]!.id])
    equal(await listed(stage, { scopes: [`${scope}/never`] }), [])
  }),

  onStage('a conflict that is resolved is open no more', async (stage) => {
    const { client, store, push, conflict, equal } = stage
    const [first, second] = [conflict(), conflict()]
    await push({ conflicts: [first, second] })
    await push({ resolved: [first.id] }, { client: `${client}-2` })
    equal(await listed(stage, {}), [second.id])
    equal(await listed(stage, { status: 'resolved' }), [first.id])
    equal(await store.conflict(first.id), { ...first, status: 'resolved' })
    equal([await store.openConflicts(client), await store.openConflicts(`${client}-2`)], [1, 0])
  }),
]

type Query = Parameters<Stage['store']['conflicts']>[0]

async function listed({ scope, store }: Stage, q: Partial<Query>): Promise<readonly string[]> {
  const rows = await store.conflicts({ scopes: [scope], status: 'open', limit: 50, ...q })
  return rows.map(({ id }) => id)
}
