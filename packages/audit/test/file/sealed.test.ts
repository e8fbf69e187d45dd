import { expect, test } from 'vitest'
import type { Search } from '../../src/store.ts'
import { isMatch } from '../../src/file/matching.ts'
import { fold, hashOf, leafOf } from './fake-tree.ts'
import { LOG, newDisk, newRow, openOn, rows, sealedIn } from './stage.ts'

test('tiles have what the leaves say, over tiles, levels and restarts', async () => {
  const disk = newDisk()
  const all = rows(700)
  for (let from = 0; from < 700; from += 100) {
    const store = openOn(disk, { segmentBytes: 1 << 16 })
    await store.append(LOG, all.slice(from, from + 100))
    while ((await store.seal(LOG, 90, fold)) !== 0) {}
    await store.close()
  }
  const store = openOn(disk)
  const tiles = await store.tiles(LOG, [
    { level: 0, index: 1 },
    { level: 0, index: 2 },
    { level: 1, index: 0 },
    { level: 0, index: 3 },
    { level: 2, index: 0 },
  ])
  expect(tiles.map((tile) => tile?.length ?? null)).toEqual([256 * 32, 188 * 32, 64, null, null])
  expect(Buffer.compare(tiles[0]!, Buffer.concat(all.slice(256, 512).map(({ bytes }) => hashOf(bytes))))).toBe(0)
})

test('a fold that does not continue the head is refused, and nothing of it counts', async () => {
  const store = openOn(newDisk())
  await store.append(LOG, rows(3))
  const corrupt = { code: 'STORE_CORRUPT' }
  const wrong = [
    { size: 1, frontier: new Uint8Array() },
    { size: 0, frontier: new Uint8Array() },
  ]
  await expect(store.seal(LOG, 9, (rows) => fold(rows, wrong[0]!))).rejects.toMatchObject(corrupt)
  await expect(store.seal(LOG, 9, (rows) => fold(rows.slice(1), wrong[1]!))).rejects.toMatchObject(corrupt)
  const mine = new Error('mine')
  await expect(
    store.seal(LOG, 9, () => {
      throw mine
    }),
  ).rejects.toBe(mine)
  expect((await store.head(LOG)).size).toBe(0)
  const mark = await store.mark(LOG)
  await store.append(LOG, rows(1))
  expect(await store.isSealed(LOG, mark)).toBe(false)
  const both = await Promise.all([store.seal(LOG, 3, fold), store.seal(LOG, 3, fold)])
  expect(both).toEqual([3, 'busy'])
  expect(await store.isSealed(LOG, mark)).toBe(true)
  expect(await store.seal(LOG, 3, fold)).toBe(1)
})

test('a search finds what looking at each leaf finds', async () => {
  const store = openOn(newDisk(), { segmentBytes: 1 << 20 })
  const all = Array.from({ length: 4_500 }, (_, i) =>
    newRow({ scope: `s${i % 3}`, actor: `u_${i % 70}`, action: `a${i % 5}.do`, atMs: i, refs: i % 99 ? [] : ['p"ü'] }),
  )
  await store.append(LOG, all)
  while ((await store.seal(LOG, 3_000, fold)) !== 0) {}
  const leaves = all.map(leafOf)
  const asked: Partial<Search>[] = [
    {},
    { scope: 's1' },
    { actor: { type: 'user', id: 'u_7' } },
    { actor: { type: 'service' } },
    { scope: 's2', action: 'a4.do', fromMs: 1_000, toMs: 4_300 },
    { actionPrefix: 'a3.' },
    { ref: 'p"ü' },
    { ref: 'nobody' },
    { outcome: 'failure' },
  ]
  for (const more of asked) {
    for (const order of ['asc', 'desc'] as const) {
      const q: Search = { scope: null, order, limit: 40, ...more }
      const model = order === 'asc' ? leaves : leaves.toReversed()
      const meant = model.filter((leaf) => isMatch(leaf, q)).map(({ index }) => index)
      const found: number[] = []
      for (;;) {
        const page = await store.search(LOG, found.length === 0 ? q : { ...q, after: found.at(-1)! })
        found.push(...page.map(({ leaf }) => leaf.index))
        expect(page.every(({ leaf, bytes }) => Buffer.compare(bytes!, all[leaf.index]!.bytes) === 0)).toBe(true)
        if (page.length < 40 || found.length >= 120) break
      }
      expect(found).toEqual(meant.slice(0, found.length))
      expect(found.length).toBe(Math.min(meant.length, 120))
    }
  }
})

test('reading keeps both bounds and answers at least one', async () => {
  const store = openOn(newDisk())
  await store.append(LOG, rows(20, { text: 'x'.repeat(400) }))
  await store.append(LOG, rows(20, { text: 'x'.repeat(400) }))
  await store.seal(LOG, 100, fold)
  const count = async (entries: number, bytes: number): Promise<number> =>
    (await store.read(LOG, 3, { entries, bytes })).length
  expect([await count(5, 1e9), await count(100, 1e9), await count(9, 1), await count(9, 1_000)]).toEqual([5, 37, 1, 2])
  expect(await store.read(LOG, 40, { entries: 5, bytes: 1e9 })).toEqual([])
})

test('whole segments below all cursors are pruned: bytes and keys go, leaves and tiles stay', async () => {
  const disk = newDisk()
  let store = openOn(disk)
  const all = Array.from({ length: 40 }, () => newRow({ text: 'x'.repeat(300) }, ['p']))
  for (const row of all) await store.append(LOG, [row])
  await store.seal(LOG, 33, fold)
  const later = Date.now() + 1_000
  expect(await store.prunable(LOG, 0)).toBe(0)
  const upTo = await store.prunable(LOG, later)
  expect(upTo).toBeGreaterThan(20)
  expect(upTo).toBeLessThanOrEqual(33)
  const claim = await store.claim(LOG, 'siem', 'me', 60_000)
  await store.advance(LOG, 'siem', claim!.fence, 15, 60_000)
  const below = await store.prunable(LOG, later)
  expect(below).toBeLessThanOrEqual(15)
  expect(await store.prune(LOG, upTo - 1)).toBeLessThan(upTo)
  expect(await store.prune(LOG, upTo)).toBeGreaterThan(0)
  store = openOn(disk.afterCrash())
  expect((await store.head(LOG)).pruned).toBe(upTo)
  const { ids, there } = await sealedIn(store)
  expect(ids).toEqual(all.slice(0, 33).map(({ id }) => id))
  expect(there).toEqual(ids.map((_, index) => index >= upTo))
  expect(await store.find(LOG, ids[0]!)).toMatchObject({ leaf: { index: 0, id: ids[0] }, bytes: null })
  expect(await store.keys(LOG, ids)).toHaveLength(33 - upTo)
  // It is known still.
  await store.append(LOG, [all[0]!])
  expect((await store.inspect(LOG)).unsealed).toBe(7)
  const [tile] = await store.tiles(LOG, [{ level: 0, index: 0 }])
  expect(tile).toHaveLength(33 * 32)
})

test('a cursor is held by one owner, moves forward by its fence, and is there after a crash with its state', async () => {
  const disk = newDisk()
  let store = openOn(disk)
  expect(await store.claim(LOG, 'siem', 'a', 60_000)).toEqual({ fence: 1, at: 0, state: null })
  expect(await store.claim(LOG, 'siem', 'b', 60_000)).toBeNull()
  expect(await store.advance(LOG, 'siem', 1, 5, 60_000, 'five')).toBe(true)
  expect(await store.claim(LOG, 'siem', 'a', 60_000)).toEqual({ fence: 2, at: 5, state: 'five' })
  expect(await store.advance(LOG, 'siem', 2, 4, 60_000)).toBe(false)
  await store.release(LOG, 'siem', 2)
  expect(await store.claim(LOG, 'siem', 'b', 60_000)).toEqual({ fence: 3, at: 5, state: 'five' })
  expect(await store.advance(LOG, 'siem', 2, 9, 60_000)).toBe(false)
  expect(await store.advance(LOG, 'siem', 3, 9, 60_000)).toBe(true)
  store = openOn(disk.afterCrash())
  expect(await store.claim(LOG, 'siem', 'c', 60_000)).toEqual({ fence: 4, at: 9, state: 'five' })
})

test('dead letters, holds and checkpoints outlive a crash', async () => {
  const disk = newDisk()
  let store = openOn(disk)
  const dead = (sink: string, index: number) => ({ sink, index, id: `id-${index}`, reason: 'no', atMs: 1 })
  await store.deadLetters.bury(LOG, [dead('b', 2), dead('a', 9), dead('b', 1)])
  expect(await store.deadLetters.unbury(LOG, { sink: 'b', ids: ['id-2'] })).toBe(1)
  await store.hold(LOG, { id: 'h1', scope: 'acme', reason: 'court', atMs: 1 })
  for (let size = 1; size <= 200; size++) await store.publish(LOG, { size, note: `note ${size}` })
  await store.publish(LOG, { size: 200, note: 'signed again' })
  store = openOn(disk.afterCrash())
  const listed = await store.deadLetters.list(LOG, { after: { sink: 'a', index: 9 }, limit: 9 })
  expect(listed.map(({ sink, index, again }) => [sink, index, again])).toEqual([
    ['b', 1, false],
    ['b', 2, true],
  ])
  expect(await store.deadLetters.remove(LOG, { ids: ['id-9'] })).toBe(1)
  expect(await store.deadLetters.count(LOG)).toEqual({ b: 2 })
  expect(await store.holds(LOG)).toHaveLength(1)
  expect([await store.unhold(LOG, 'h1'), await store.unhold(LOG, 'h1')]).toEqual([true, false])
  expect(await store.checkpoints(LOG, { last: true })).toEqual([{ size: 200, note: 'signed again' }])
  const sizes = (await store.checkpoints(LOG, { from: 130, limit: 3 })).map(({ size }) => size)
  expect(sizes).toEqual([130, 131, 132])
  expect(await store.checkpoints(LOG, { from: 199, limit: 9 })).toHaveLength(2)
})
