import type { Case } from '@keelson/kernel/conformance'
import { onStage, told } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

export const eraCases: readonly Case<StoreUnderTest>[] = [
  onStage('in a new era everybody starts over, and nothing is lost', async (stage) => {
    const { scope, store, peer, change, page, pull, equal, ok } = stage
    await change({ t: 'put', id: 'a', set: { n: 1 } }, { t: 'put', id: 'b', set: { n: 2 } })
    const old = await page({ limit: 1 })
    const { token } = await store.changed(null, [scope])
    const before = (await store.inspect()).era
    const era = await store.rebase()
    ok(era > before)
    equal((await peer.inspect()).era, era)
    const ask = async (q: { floor: string | null; target?: string; after?: string }) =>
      (await peer.pull({ scopes: [{ name: scope, isKnown: true }], collections: null, limit: 9, ...q })).kind
    equal(await ask({ floor: old.target }), 'other-era')
    equal(await ask({ floor: null, target: old.target, after: old.rows[0]!.place }), 'other-era')
    const fresh = await pull()
    equal(told(fresh.rows), [
      ['a', { n: 1 }],
      ['b', { n: 2 }],
    ])
    equal(await ask({ floor: fresh.target, target: old.target }), 'other-era')
    equal((await peer.changed(token, [scope])).scopes, [scope], 'who waits is told')
    await change({ t: 'patch', id: 'a', set: { n: 3 } })
    equal(told((await pull({ floor: fresh.target })).rows), [['a', { n: 3 }]])
    ok((await store.rebase()) > era)
  }),
]
