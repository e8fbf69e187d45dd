import type { Case } from '@keelson/kernel/conformance'
import type { StoreUnderTest } from '../store-under-test.ts'
import { fold } from '../../sealer.ts'
import { rootOf } from '../../tree/head.ts'
import { rootAt } from '../../tree/proofs.ts'
import { listed, onStage } from '../stage.ts'

export const sealCases: readonly Case<StoreUnderTest>[] = [
  onStage('at most so many at a time; fewer say that nothing is left', async (stage) => {
    const { store, log, append, until, equal } = stage
    await append({}, {}, {}, {}, {})
    const step = () =>
      until('a seal', async () => {
        const sealed = await store.seal(log, 2, fold)
        return sealed === 'busy' || (sealed === 0 && (await store.head(log)).size < 5) ? undefined : [sealed]
      })
    equal([await step(), await step(), await step(), await step()], [[2], [2], [1], [0]])
  }),

  onStage('the fold sees the head that it grows', async ({ store, peer, log, sealed, append, until, equal }) => {
    await sealed({}, {}, {})
    await append({})
    const heads: number[] = []
    await until('a seal', async () => {
      const step = await peer.seal(log, 10, (rows, head) => {
        heads.push(head.size)
        return fold(rows, head)
      })
      return step === 1
    })
    equal(heads.at(-1), 3)
    equal((await store.head(log)).size, 4)
  }),

  onStage('a fold that fails changes nothing', async ({ store, log, append, seal, read, equal }) => {
    await append({}, {})
    const failed = await store
      .seal(log, 10, () => {
        throw new Error('no')
      })
      .catch((error: Error) => error.message)
    equal(['no', 0, 'busy'].includes(failed), true)
    equal((await store.head(log)).size, 0)
    equal((await read()).length, 0)
    equal(await seal(), 2)
  }),

  onStage('two that seal at once never fork the log', async (stage) => {
    const { store, peer, log, row, together, seal, read, equal } = stage
    await store.append(
      log,
      Array.from({ length: 60 }, () => row()),
    )
    await together(12, (i) => (i % 2 === 0 ? store : peer).seal(log, 7, fold).catch(() => 0))
    await seal()
    equal(
      (await read()).map(({ leaf }) => leaf.index),
      Array.from({ length: 60 }, (_, i) => i),
    )
    const { size, frontier } = await store.head(log)
    const root = rootOf({ size, frontier })
    equal(listed(await rootAt(size, (refs) => store.tiles(log, refs))), listed(root))
  }),

  onStage('tiles grow, and only grow', async ({ store, log, row, seal, equal }) => {
    await store.append(
      log,
      Array.from({ length: 600 }, () => row()),
    )
    await seal()
    const refs = [
      { level: 0, index: 0 },
      { level: 0, index: 1 },
      { level: 0, index: 2 },
      { level: 1, index: 0 },
      { level: 0, index: 3 },
      { level: 2, index: 0 },
    ]
    const tiles = await store.tiles(log, refs)
    equal(
      tiles.map((tile) => (tile === null ? null : tile.length / 32)),
      [256, 256, 88, 2, null, null],
    )
    await store.append(log, [row()])
    await seal()
    const after = await store.tiles(log, refs)
    equal(after[2]!.length, 89 * 32)
    equal(listed(after[2]!.subarray(0, 88 * 32)), listed(tiles[2]!))
    equal(listed(after[0]!), listed(tiles[0]!))
  }),

  onStage('a tile that is not as long as it should be stops the seal, and nothing is changed', async (stage) => {
    const { store, log, sealed, append, seal, equal } = stage
    await sealed({})
    await append({})
    const wrong = await store
      .seal(log, 10, (rows, head) => {
        const delta = fold(rows, head)
        return { ...delta, tiles: delta.tiles.map((tile) => ({ ...tile, offset: tile.offset + 1 })) }
      })
      .then(
        (step) => (step === 'busy' || step === 0 ? 'not yet' : step),
        (error: { code?: string }) => error.code,
      )
    equal(['STORE_CORRUPT', 'not yet'].includes(String(wrong)), true, String(wrong))
    equal((await store.head(log)).size, 1)
    equal(await seal(), 1)
  }),

  onStage('a mark is sealed when all is that was durable then', async ({ store, log, append, seal, equal }) => {
    equal(await store.isSealed(log, await store.mark(log)), true)
    await append({}, {})
    const mark = await store.mark(log)
    equal(await store.isSealed(log, mark), false)
    await seal()
    await append({})
    equal(await store.isSealed(log, mark), true)
  }),
]
