import type { Case } from '@keelson/kernel/conformance'
import type { StoreUnderTest } from '../store-under-test.ts'
import { LONG_MS, listed, onStage } from '../stage.ts'
import type { DeadRow } from '../../store.ts'

const dead = (sink: string, index: number, reason = 'bad'): DeadRow => ({
  sink,
  index,
  id: `00000000-0000-7000-8000-00000000000${index}`,
  reason,
  atMs: 1_700_000_000_000 + index,
})

export const keepingCases: readonly Case<StoreUnderTest>[] = [
  onStage('dead letters are listed by sink and index, in pages', async ({ store, peer, log, equal }) => {
    await store.deadLetters.bury(log, [dead('b', 1), dead('a', 3), dead('a', 2)])
    const all = await peer.deadLetters.list(log, { limit: 10 })
    equal(
      all,
      [dead('a', 2), dead('a', 3), dead('b', 1)].map((row) => ({ ...row, again: false })),
    )
    const places = async (q: Omit<Parameters<typeof store.deadLetters.list>[1], 'limit'>, limit = 10) =>
      (await store.deadLetters.list(log, { ...q, limit })).map(({ sink, index }) => `${sink}${index}`)
    equal(await places({}, 2), ['a2', 'a3'])
    equal(await places({ after: { sink: 'a', index: 3 } }), ['b1'])
    equal(await places({ sink: 'a', after: { sink: 'a', index: 2 } }), ['a3'])
    equal(await store.deadLetters.count(log), { a: 2, b: 1 })
    equal(await store.deadLetters.list(`${log}-b`, { limit: 10 }), [])
  }),

  onStage('one that is buried again keeps its place, with the new reason, and waits no more', async (stage) => {
    const { store, log, equal } = stage
    await store.deadLetters.bury(log, [dead('a', 1)])
    await store.deadLetters.unbury(log, {})
    await store.deadLetters.bury(log, [dead('a', 1, 'worse')])
    equal(await store.deadLetters.list(log, { limit: 10 }), [{ ...dead('a', 1, 'worse'), again: false }])
  }),

  onStage('those of a sink, some by id, or all begin to wait for their replay', async ({ store, log, equal }) => {
    await store.deadLetters.bury(log, [dead('a', 1), dead('a', 2), dead('b', 1), dead('b', 3)])
    const waiting = async () =>
      (await store.deadLetters.list(log, { again: true, limit: 10 })).map(({ sink, index }) => `${sink}${index}`)
    equal(await store.deadLetters.unbury(log, { sink: 'a', ids: [dead('a', 1).id] }), 1)
    equal(await waiting(), ['a1'])
    equal(await store.deadLetters.unbury(log, { sink: 'a' }), 1)
    equal(await waiting(), ['a1', 'a2'])
    equal(await store.deadLetters.unbury(log, { ids: [] }), 0)
    equal(await store.deadLetters.unbury(log, {}), 2)
    equal((await waiting()).length, 4)
  }),

  onStage('they are removed by id, of one sink or of all', async ({ store, log, equal }) => {
    await store.deadLetters.bury(log, [dead('a', 1), dead('b', 1), dead('b', 2)])
    equal(await store.deadLetters.remove(log, { sink: 'b', ids: [dead('b', 1).id] }), 1)
    equal(await store.deadLetters.count(log), { a: 1, b: 1 })
    equal(await store.deadLetters.remove(log, { ids: [dead('a', 1).id, dead('b', 2).id] }), 2)
    equal(await store.deadLetters.remove(log, { ids: [dead('a', 1).id] }), 0)
  }),

  onStage('holds stand until they are lifted', async ({ store, peer, log, equal }) => {
    const hold = { id: 'h_1', scope: 'acme', reason: 'a lawsuit', atMs: 1_700_000_000_000 }
    await store.hold(log, hold)
    equal(await peer.holds(log), [hold])
    equal(await store.holds(`${log}-b`), [])
    equal([await store.unhold(log, 'h_1'), await store.unhold(log, 'h_1')], [true, false])
    equal(await peer.holds(log), [])
  }),

  onStage('nothing is pruned that is young, unsealed, or not shipped', async (stage) => {
    const { store, log, append, sealed, equal } = stage
    await sealed({}, {})
    await append({})
    equal(await store.prunable(log, 0), 0)
    await store.claim(log, 's', 'a', LONG_MS)
    equal(await store.prunable(log, Date.now() + LONG_MS), 0)
  }),

  onStage('what is pruned has no bytes any more; leaf and tiles stay', async (stage) => {
    const { store, peer, log, sealed, append, seal, equal, ok } = stage
    const rows = await sealed({}, {}, {})
    const before = await store.tiles(log, [{ level: 0, index: 0 }])
    const upTo = await store.prunable(log, Date.now() + LONG_MS)
    ok(upTo >= 0 && upTo <= 3)
    equal(await store.prune(log, upTo), upTo)
    equal((await store.head(log)).pruned, upTo)
    const read = await peer.read(log, 0, { entries: 10, bytes: 1_000_000 })
    equal(
      read.map(({ leaf, bytes }) => [leaf.index, leaf.id, bytes === null]),
      rows.map(({ id }, i) => [i, id, i < upTo]),
    )
    equal((await store.find(log, rows[0]!.id))?.leaf.index, 0)
    equal(listed((await store.tiles(log, [{ level: 0, index: 0 }]))[0]!), listed(before[0]!))
    equal(await store.prune(log, upTo), 0)
    await append({})
    equal(await seal(), 1)
    equal((await store.head(log)).size, 4)
  }),

  onStage('it says what waits to be sealed', async ({ store, log, append, sealed, equal, ok }) => {
    await sealed({})
    await append({}, {})
    const { unsealed, oldestUnsealedMs, size, bytes } = await store.inspect(log)
    equal([unsealed, size], [2, 1])
    ok(oldestUnsealedMs !== null && oldestUnsealedMs >= 0 && oldestUnsealedMs < LONG_MS)
    ok(bytes > 0)
    await store.health()
  }),

  onStage(
    'a spool hands its rows on in order, forgets those that were taken, and keeps what was not',
    async ({ store, log, row, append, equal }) => {
      const person = [{ scope: 'acme', ref: 'r_1', wrapped: Buffer.from([1, 2]) }]
      const rows = await append(row(), row({}, { keys: person }), row())
      equal((await store.waiting!(log)).entries, 3)
      const failed = await store.drain!(log, 10, async () => {
        throw new Error('no')
      }).catch((error: Error) => error.message)
      equal(failed, 'no')
      const moved: string[] = []
      const keys: number[] = []
      const move = async (some: readonly (typeof rows)[number][]): Promise<void> => {
        for (const one of some) {
          moved.push(one.id)
          for (const { wrapped } of one.keys) keys.push(...wrapped)
        }
      }
      equal(await store.drain!(log, 2, move), 2)
      equal(await store.drain!(log, 2, move), 1)
      equal(await store.drain!(log, 2, move), 0)
      equal(
        moved,
        rows.map(({ id }) => id),
      )
      equal(keys, [1, 2])
      equal(await store.waiting!(log), { entries: 0, oldestMs: null })
    },
    ['drain'],
  ),
]
