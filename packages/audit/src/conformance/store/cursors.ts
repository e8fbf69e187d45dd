import type { Case } from '@keelson/kernel/conformance'
import type { StoreUnderTest } from '../store-under-test.ts'
import { LONG_MS, onStage, SHORT_MS } from '../stage.ts'

export const cursorCases: readonly Case<StoreUnderTest>[] = [
  onStage('a new cursor stands at 0 and belongs to who claims it first', async ({ store, peer, log, equal, ok }) => {
    const mine = await store.claim(log, 's', 'a', LONG_MS)
    equal([mine?.at, mine?.state], [0, null])
    ok(mine!.fence > 0)
    equal(await peer.claim(log, 's', 'b', LONG_MS), null)
    ok(await store.claim(log, 'other sink', 'b', LONG_MS))
    ok(await store.claim(`${log}-b`, 's', 'b', LONG_MS))
  }),

  onStage('one of ten gets it', async ({ store, peer, log, together, equal }) => {
    const claims = await together(10, (i) => (i % 2 === 0 ? store : peer).claim(log, 's', `n${i}`, LONG_MS))
    equal(claims.filter((claim) => claim !== null).length, 1)
  }),

  onStage('the owner moves it, and what it keeps with it', async ({ store, peer, log, sealed, equal }) => {
    await sealed({}, {}, {})
    const { fence } = (await store.claim(log, 's', 'a', LONG_MS))!
    equal(await store.advance(log, 's', fence, 2, LONG_MS, 'state'), true)
    equal(await store.advance(log, 's', fence, 3, LONG_MS), true)
    const again = await store.claim(log, 's', 'a', LONG_MS)
    equal([again?.at, again?.state], [3, 'state'])
    equal((await peer.inspect(log)).cursors, { s: 3 })
  }),

  onStage('it never goes back', async ({ store, log, sealed, equal }) => {
    await sealed({}, {})
    const { fence } = (await store.claim(log, 's', 'a', LONG_MS))!
    await store.advance(log, 's', fence, 2, LONG_MS)
    equal(await store.advance(log, 's', fence, 1, LONG_MS), false)
    equal((await store.inspect(log)).cursors, { s: 2 })
  }),

  onStage('each claim fences the last one off', async ({ store, log, sealed, equal, ok }) => {
    await sealed({})
    const first = (await store.claim(log, 's', 'a', LONG_MS))!
    const second = (await store.claim(log, 's', 'a', LONG_MS))!
    ok(second.fence > first.fence)
    equal(await store.advance(log, 's', first.fence, 1, LONG_MS), false)
    equal(await store.advance(log, 's', second.fence, 1, LONG_MS), true)
  }),

  onStage('a lease ends by itself, and its owner is fenced off', async ({ store, peer, log, sealed, until, equal }) => {
    await sealed({})
    const first = (await store.claim(log, 's', 'a', SHORT_MS))!
    const second = await until('the lease is over', async () => (await peer.claim(log, 's', 'b', LONG_MS)) ?? undefined)
    equal(second.at, 0)
    equal(await store.advance(log, 's', first.fence, 1, LONG_MS), false)
    equal(await store.claim(log, 's', 'a', LONG_MS), null)
  }),

  onStage('moving it lengthens the lease', async ({ store, peer, log, sealed, elapse, equal }) => {
    await sealed({})
    const { fence } = (await store.claim(log, 's', 'a', SHORT_MS * 50))!
    await store.advance(log, 's', fence, 1, LONG_MS)
    await elapse(SHORT_MS * 51)
    equal(await peer.claim(log, 's', 'b', LONG_MS), null)
  }),

  onStage(
    'a lease that is given back is free at once, for its own fence only',
    async ({ store, peer, log, equal, ok }) => {
      const first = (await store.claim(log, 's', 'a', LONG_MS))!
      const second = (await store.claim(log, 's', 'a', LONG_MS))!
      await store.release(log, 's', first.fence)
      equal(await peer.claim(log, 's', 'b', LONG_MS), null)
      await store.release(log, 's', second.fence)
      ok(await peer.claim(log, 's', 'b', LONG_MS))
    },
  ),
]
