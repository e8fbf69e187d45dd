import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { rootOf } from '../../src/tree/head.ts'
import { createTreeCheck, type TreeFault } from '../../src/tree/tree-check.ts'
import { leafHash, subtreeRoot } from '../../src/tree/hashing.ts'
import { entriesOf, growTree, type GrownTree } from './grown-tree.ts'

const SIZE = 70_000

/** A log with its tree, of which the tiles can be changed without harm to others. */
function sealed(size: number): { entries: Buffer[]; tree: GrownTree; root: Uint8Array } {
  const entries = entriesOf(size)
  const tree = growTree()
  tree.append(entries)
  return { entries, tree, root: rootOf(tree.head) }
}

async function check(
  entries: readonly (Uint8Array | null)[],
  tree: GrownTree,
  root: Uint8Array,
  portion = 1_000,
): Promise<{ faults: TreeFault[]; root: Uint8Array }> {
  const faults: TreeFault[] = []
  const checked = createTreeCheck({
    size: entries.length,
    root,
    readTiles: (refs) => tree.readTiles(refs),
    report: (fault) => faults.push(fault),
  })
  for (let at = 0; at < entries.length; at += portion) await checked.add(entries.slice(at, at + portion))
  return { faults, root: checked.end() }
}

/** A log with some of its entries and tiles changed. */
function changed(
  from: ReturnType<typeof sealed>,
  change: { entries?: Record<number, Uint8Array | null>; tiles?: Record<string, (tile: Buffer) => Buffer | undefined> },
): ReturnType<typeof sealed> {
  const entries = from.entries.slice()
  for (const [index, bytes] of Object.entries(change.entries ?? {})) entries[Number(index)] = bytes as Buffer
  const tree = growTree()
  for (const [key, tile] of from.tree.tiles) {
    const other = change.tiles?.[key] === undefined ? tile : change.tiles[key](Buffer.from(tile))
    if (other !== undefined) tree.tiles.set(key, other)
  }
  return { entries, tree, root: from.root }
}

const flip =
  (bit: number) =>
  (tile: Buffer): Buffer => {
    tile[bit >> 3]! ^= 1 << (bit & 7)
    return tile
  }
const other = Buffer.from('something else')
const put =
  (at: number, hash: Uint8Array) =>
  (tile: Buffer): Buffer => {
    tile.set(hash, at * 32)
    return tile
  }

test('of a log as it was sealed nothing is wrong, whatever its size and the portions', async () => {
  for (const size of [0, 1, 2, 255, 256, 257, 511, 512, 700]) {
    const { entries, tree, root } = sealed(size)
    for (const portion of [1, 100, 256, 1_000]) {
      expect(await check(entries, tree, root, portion)).toEqual({ faults: [], root })
    }
  }
})

describe('in a large log', () => {
  const log = sealed(SIZE)
  const faultsOf = async (change: Parameters<typeof changed>[1]): Promise<TreeFault[]> => {
    const { entries, tree, root } = changed(log, change)
    return (await check(entries, tree, root)).faults
  }

  test('nothing is wrong, with few readings', async () => {
    log.tree.reads = 0
    expect(await check(log.entries, log.tree, log.root)).toEqual({ faults: [], root: log.root })
    expect(log.tree.reads).toBeLessThanOrEqual(70)
  })

  test('entries that grew since do not matter', async () => {
    const { entries, tree } = log
    const [older, root] = [entries.slice(0, 600), rootOf(sealed(600).tree.head)]
    expect(await check(older, tree, root)).toEqual({ faults: [], root })
  })

  test('dropped bytes do not matter: the tiles have their hashes', async () => {
    const dropped = log.entries.map((bytes, index) => (index < 1_100 || index === 69_999 ? null : bytes))
    expect(await check(dropped, log.tree, log.root)).toEqual({ faults: [], root: log.root })
  })

  test('altered entries are named', async () => {
    for (const index of [0, 255, 256, 65_535, 65_536, 69_888, 69_999]) {
      expect(await faultsOf({ entries: { [index]: other } })).toEqual([{ kind: 'entry', index }])
    }
    expect(await faultsOf({ entries: { 3: log.entries[4]!, 4: log.entries[3]!, 68_000: other } })).toEqual([
      { kind: 'entry', index: 3 },
      { kind: 'entry', index: 4 },
      { kind: 'entry', index: 68_000 },
    ])
  })

  test('altered tiles are named, at every level', async () => {
    for (const [key, bit] of [
      ['0/0', 0],
      ['0/255', 65_535],
      ['0/273', 5],
      ['1/0', 777],
      ['1/1', 1],
      ['2/0', 200],
    ] as const) {
      const [level, index] = key.split('/').map(Number)
      expect(await faultsOf({ tiles: { [key]: flip(bit) } }), key).toEqual([{ kind: 'tile', level, index }])
    }
  })

  test('missing and cut off tiles are named, and more is not said of them', async () => {
    for (const key of ['0/0', '0/272', '0/273', '1/0', '1/1', '2/0']) {
      const [level, index] = key.split('/').map(Number)
      for (const gone of [() => undefined, (tile: Buffer) => tile.subarray(1), (tile: Buffer) => tile.subarray(32)]) {
        expect(await faultsOf({ tiles: { [key]: gone } }), key).toEqual([{ kind: 'tile', level, index }])
      }
    }
    const entries = { 5: null }
    expect(await faultsOf({ entries, tiles: { '0/0': () => undefined } })).toEqual([
      { kind: 'tile', level: 0, index: 0 },
    ])
  })

  test('an entry that was altered with its tile is found in the tile above', async () => {
    const leaf = put(7, leafHash(other))
    expect(await faultsOf({ entries: { 7: other }, tiles: { '0/0': leaf } })).toEqual([
      { kind: 'span', from: 0, to: 256 },
    ])
    // With that one too: in the one above it.
    const leaves = leaf(Buffer.from(log.tree.tiles.get('0/0')!))
    const above = put(0, subtreeRoot(leaves))
    expect(await faultsOf({ entries: { 7: other }, tiles: { '0/0': leaf, '1/0': above } })).toEqual([
      { kind: 'span', from: 0, to: 65_536 },
    ])
  })

  test('several faults in different places are all named', async () => {
    expect(
      await faultsOf({
        entries: { 10: other, 66_000: other },
        tiles: { '0/5': flip(9), '1/1': flip(4_000), '0/273': () => undefined },
      }),
    ).toEqual(
      expect.arrayContaining([
        { kind: 'entry', index: 10 },
        { kind: 'tile', level: 0, index: 5 },
        { kind: 'entry', index: 66_000 },
        { kind: 'tile', level: 0, index: 273 },
        { kind: 'tile', level: 1, index: 1 },
      ]),
    )
  })

  test('what was rewritten up to the root shows in the root', async () => {
    const rewritten = growTree()
    const entries = log.entries.with(12, other)
    rewritten.append(entries)
    const { faults, root } = await check(entries, rewritten, log.root)
    expect(faults).toEqual([])
    expect(root).toEqual(rootOf(rewritten.head))
    expect(root).not.toEqual(log.root)
  })
})

test('every change of a bit of an entry or a tile is a fault, named as what it is', async () => {
  const logs = [1, 200, 256, 600].map((size) => ({ size, log: sealed(size) }))
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...logs),
      fc.nat(),
      fc.nat(),
      fc.boolean(),
      async ({ size, log }, a, b, inTile) => {
        if (inTile) {
          const [key, tile] = [...log.tree.tiles][a % log.tree.tiles.size]!
          const [level, index] = key.split('/').map(Number)
          const { entries, tree, root } = changed(log, { tiles: { [key]: flip(b % (tile.length * 8)) } })
          expect((await check(entries, tree, root)).faults).toEqual([{ kind: 'tile', level, index }])
        } else {
          const index = a % size
          const bytes = flip(b % (log.entries[index]!.length * 8))(Buffer.from(log.entries[index]!))
          const { entries, tree, root } = changed(log, { entries: { [index]: bytes } })
          expect((await check(entries, tree, root)).faults).toEqual([{ kind: 'entry', index }])
        }
      },
    ),
    { numRuns: 300 },
  )
})
