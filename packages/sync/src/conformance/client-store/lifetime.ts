import type { Case } from '@keelson/kernel/conformance'
import { byKey, onPlace, type ClientStage } from '../client-stage.ts'
import type { ClientStore } from '../../client/store.ts'
import type { ClientStoreUnderTest } from '../client-store-under-test.ts'

const pair = (i: number): readonly (readonly [string, unknown])[] => [
  [`left/${i}`, { i }],
  [`right/${i}`, { i }],
]

/** Starts updates of two keys each; which of them resolved. */
function startPairs(store: ClientStore, from: number, to: number, resolved: Set<number>): Promise<unknown> {
  const all: Promise<void>[] = []
  for (let i = from; i < to; i++) {
    all.push(
      store
        .update([`left/${i}`], () => pair(i))
        .then(
          () => void resolved.add(i),
          () => {},
        ),
    )
  }
  return Promise.all(all)
}

/** What resolved is there, and of the others all or nothing. */
async function checkPairs({ load, ok, equal }: ClientStage, upTo: number, resolved: ReadonlySet<number>) {
  const found = new Map((await load()).found)
  for (let i = 0; i < upTo; i++) {
    const [left, right] = [found.get(`left/${i}`), found.get(`right/${i}`)]
    if (resolved.has(i)) ok(left !== undefined, `update ${i} had resolved, and is not there`)
    equal(right, left, `a part of update ${i}`)
  }
  return found
}

export const lifetimeCases: readonly Case<ClientStoreUnderTest>[] = [
  onPlace(
    'what resolved is there when it is opened again, time and again',
    async ({ load, write, equal }) => {
      const expected = new Map<string, unknown>()
      for (let round = 0; round < 5; round++) {
        const { store, found } = await load()
        equal(found, byKey(expected))
        for (let i = 0; i < 10; i++) {
          await write(
            store,
            [`${round}/${i}`, { round, i }],
            ['last', `${round}/${i}`],
            [`${round - 1}/${i}`, undefined],
          )
          expected
            .set(`${round}/${i}`, { round, i })
            .set('last', `${round}/${i}`)
            .delete(`${round - 1}/${i}`)
        }
        await store.close()
      }
      equal((await load()).found, byKey(expected))
    },
    'kept',
  ),

  onPlace(
    'nothing comes back, and nothing of what was refused comes',
    async ({ open, load, write, refused, equal }) => {
      const store = await open()
      await write(store, ['a', 1], ['b', 2])
      await write(store, ['a', undefined])
      const throws = store.update(['b'], () => {
        throw new Error('no')
      })
      await refused(throws, 'decide has thrown')
      await store.close()
      equal((await load()).found, [['b', 2]])
    },
    'kept',
  ),

  onPlace('behind close all calls reject', async ({ open, refused }) => {
    const store = await open()
    await store.close()
    let decided = false
    const late = store.update(['a'], () => {
      decided = true
      return [['a', 1]]
    })
    await refused(late, 'an update behind close')
    await refused(store.load(), 'a load behind close')
    if (decided) throw new Error('a call behind close has decided something')
  }),

  onPlace(
    'to close is repeatable, also at once, and of one that has done nothing',
    async ({ open, bare, together }) => {
      const store = await open()
      await together(3, () => store.close())
      await store.close()
      await (await bare()).close()
    },
  ),

  onPlace(
    'what is under way at close is there if it resolved, and there as a whole or not at all',
    async (stage) => {
      const store = await stage.open()
      const resolved = new Set<number>()
      const writing = startPairs(store, 0, 50, resolved)
      await store.close()
      await writing
      await checkPairs(stage, 50, resolved)
    },
    'kept',
  ),

  onPlace(
    'after a crash what resolved is there, and the rest as a whole or not at all',
    async (stage) => {
      const resolved = new Set<number>()
      let upTo = 0
      for (let round = 0; round < 4; round++) {
        const store = await stage.open()
        await startPairs(store, upTo, upTo + 20 * (round % 3), resolved)
        upTo += 20 * (round % 3)
        void startPairs(store, upTo, upTo + 50, resolved)
        for (let turns = 3 * round; turns > 0; turns--) await new Promise((resolve) => setTimeout(resolve))
        await stage.crash()
        upTo += 50
        await checkPairs(stage, upTo, new Set(resolved))
        await stage.crash()
      }
    },
    'crash',
  ),

  onPlace(
    'after a crash it is written on, and what is removed stays so',
    async (stage) => {
      const { open, crash, load, write, equal } = stage
      const expected = new Map<string, unknown>()
      for (let round = 0; round < 4; round++) {
        const store = await open()
        await write(store, ['round', round], [`r/${round}`, 'x'.repeat(100 * round)])
        await write(store, [`r/${round - 1}`, undefined])
        expected
          .set('round', round)
          .set(`r/${round}`, 'x'.repeat(100 * round))
          .delete(`r/${round - 1}`)
        await crash()
      }
      equal((await load()).found, byKey(expected))
    },
    'crash',
  ),
]
