import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { emptyHead, appendLeaves, rootOf } from '../../src/tree/head.ts'
import { leafHash, leafHashes } from '../../src/tree/hashing.ts'
import { provesConsistency, provesInclusion } from '../../src/tree/checks.ts'
import { consistencyProof, inclusionProof, rootAt } from '../../src/tree/proofs.ts'
import { consistencySpans, inclusionSpans } from '../../src/tree/spans.ts'
import { entriesOf, growTree } from './grown-tree.ts'
import { path, proof, treeHash } from './model.ts'

const hex = (hashes: readonly Uint8Array[]): string[] => hashes.map((hash) => Buffer.from(hash).toString('hex'))

/** The tree of the tests of Certificate Transparency's own implementations. */
const CT_ENTRIES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
const CT_ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

test('the roots of Certificate Transparency are ours', async () => {
  const tree = growTree()
  expect(hex([rootOf(tree.head)])).toEqual([CT_ROOTS[0]])
  for (const [i, entry] of CT_ENTRIES.entries()) {
    tree.append([Buffer.from(entry, 'hex')])
    expect(hex([rootOf(tree.head)])).toEqual([CT_ROOTS[i + 1]])
  }
  expect(hex(await inclusionProof(5, 8, (refs) => tree.readTiles(refs)))).toEqual([
    'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  ])
  expect(hex(await consistencyProof(6, 8, (refs) => tree.readTiles(refs)))).toEqual([
    '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
    'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  ])
})

test('an empty entry, one of 65,535 bytes and a longer one have the hash that RFC 6962 gives them', () => {
  for (const length of [0, 1, 700, 65_535, 65_536, 100_000]) {
    const bytes = Buffer.alloc(length, 7)
    expect(leafHash(bytes)).toEqual(treeHash([bytes]))
    expect(leafHash(Buffer.of())).toEqual(treeHash([Buffer.of()])) // nothing is left of the one before
  }
})

test('at every size from 0 to 700 the root is the one of the recursive tree', () => {
  const entries = entriesOf(700)
  let head = emptyHead
  for (let size = 0; size <= entries.length; size++) {
    expect(rootOf(head)).toEqual(treeHash(entries.slice(0, size)))
    head = appendLeaves(head, leafHashes(entries.slice(size, size + 1))).head
  }
})

test('however leaves are portioned, head and tiles are the same', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 12 }), (portions) => {
      const size = portions.reduce((sum, each) => sum + each, 0)
      const entries = entriesOf(size)
      const [whole, portioned] = [growTree(), growTree()]
      whole.append(entries)
      let at = 0
      for (const each of portions) portioned.append(entries.slice(at, (at += each)))
      expect(portioned.head).toEqual(whole.head)
      expect(portioned.tiles).toEqual(whole.tiles)
      const widths = (level: number): number =>
        [...whole.tiles].reduce((sum, [key, tile]) => sum + (key.startsWith(`${level}/`) ? tile.length / 32 : 0), 0)
      expect([0, 1, 2].map(widths)).toEqual([size, Math.floor(size / 256), Math.floor(size / 65_536)])
    }),
    { numRuns: 60 },
  )
})

test('a head whose frontier does not fit its size is refused', () => {
  const { head } = appendLeaves(emptyHead, leafHashes(entriesOf(5)))
  for (const wrong of [
    { ...head, size: 4 },
    { ...head, size: -1 },
    { ...head, size: 4.5 },
    { ...head, frontier: head.frontier.subarray(1) },
  ]) {
    expect(() => rootOf(wrong)).toThrow(expect.objectContaining({ code: 'STORE_CORRUPT' }))
    expect(() => appendLeaves(wrong, leafHashes([]))).toThrow(expect.objectContaining({ code: 'STORE_CORRUPT' }))
  }
})

describe('proofs from tiles', () => {
  const entries = entriesOf(700)
  const tree = growTree()
  tree.append(entries)
  const readTiles: typeof tree.readTiles = (refs) => tree.readTiles(refs)

  test('are those of the recursive tree, each from one reading at most', async () => {
    for (let size = 1; size <= entries.length; size += size < 40 ? 1 : 53) {
      const part = entries.slice(0, size)
      const root = treeHash(part)
      expect(await rootAt(size, readTiles)).toEqual(root)
      for (let m = 0; m < size; m += size < 40 ? 1 : 41) {
        tree.reads = 0
        const included = await inclusionProof(m, size, readTiles)
        expect(hex(included)).toEqual(hex(path(m, part)))
        expect(provesInclusion(m, leafHash(part[m]!), included, { size, root })).toBe(true)
        const old = treeHash(part.slice(0, m + 1))
        const consistent = await consistencyProof(m + 1, size, readTiles)
        expect(hex(consistent)).toEqual(hex(proof(m + 1, part)))
        expect(provesConsistency(consistent, { size: m + 1, root: old }, { size, root })).toBe(true)
        expect(tree.reads).toBeLessThanOrEqual(2)
      }
    }
  })

  test('from a large tree they prove what they should', async () => {
    const large = growTree()
    const many = entriesOf(70_000)
    large.append(many)
    await fc.assert(
      fc.asyncProperty(fc.nat(69_998), fc.nat(69_998), fc.boolean(), async (a, b, edge) => {
        const [index, size] = [Math.min(a, b), edge ? 70_000 : Math.max(a, b) + 1]
        const read: typeof large.readTiles = (refs) => large.readTiles(refs)
        const root = await rootAt(size, read)
        const included = await inclusionProof(index, size, read)
        expect(provesInclusion(index, leafHash(many[index]!), included, { size, root })).toBe(true)
        expect(provesInclusion(index, leafHash(many[index + 1]!), included, { size, root })).toBe(false)
        const old = { size: index, root: await rootAt(index, read) }
        const consistent = await consistencyProof(index, size, read)
        expect(provesConsistency(consistent, old, { size, root })).toBe(true)
        expect(provesConsistency(consistent, old, { size, root: old.root })).toBe(index === 0 || index === size)
      }),
      { numRuns: 150 },
    )
    expect(await rootAt(70_000, (refs) => large.readTiles(refs))).toEqual(rootOf(large.head))
  })

  test('are refused with any bit changed, in another order, longer, shorter or for another place', async () => {
    for (const [m, size] of [
      [0, 2],
      [4, 7],
      [300, 513],
      [511, 512],
      [600, 700],
    ] as const) {
      const now = { size, root: await rootAt(size, readTiles) }
      const old = { size: m, root: await rootAt(m, readTiles) }
      const leaf = leafHash(entries[m]!)
      const included = await inclusionProof(m, size, readTiles)
      const consistent = await consistencyProof(m, size, readTiles)
      for (const changed of changesOf(included)) expect(provesInclusion(m, leaf, changed, now)).toBe(false)
      for (const changed of m === 0 ? [] : changesOf(consistent))
        expect(provesConsistency(changed, old, now)).toBe(false)
      for (const root of flippedBits(now.root)) {
        expect(provesInclusion(m, leaf, included, { size, root })).toBe(false)
        expect(provesConsistency(consistent, old, { size, root })).toBe(m === 0)
      }
      for (const root of flippedBits(old.root))
        expect(provesConsistency(consistent, { size: m, root }, now)).toBe(false)
      for (const bits of flippedBits(leaf)) expect(provesInclusion(m, bits, included, now)).toBe(false)
      for (const other of [m + 1, size, size + 1, 2 * size])
        expect(provesInclusion(other, leaf, included, now)).toBe(false)
      expect(provesConsistency(consistent, now, old)).toBe(false)
    }
  })

  test('everything begins with an empty tree, and with nothing but the hash of nothing', () => {
    const [empty, now] = [
      { size: 0, root: treeHash([]) },
      { size: 3, root: treeHash(entries.slice(0, 3)) },
    ]
    expect(provesConsistency([], empty, now)).toBe(true)
    expect(provesConsistency([], empty, empty)).toBe(true)
    expect(provesConsistency([], { size: 0, root: now.root }, now)).toBe(false)
    expect(provesConsistency([], empty, { size: 0, root: now.root })).toBe(false)
    expect(provesConsistency([now.root], empty, now)).toBe(false)
    expect(provesConsistency([], now, now)).toBe(true)
    expect(provesConsistency([now.root], now, now)).toBe(false)
  })

  test('a tile that is missing or cut off is named', async () => {
    const cut: typeof readTiles = async (refs) => (await readTiles(refs)).map((tile) => tile?.subarray(0, 31) ?? null)
    await expect(inclusionProof(3, 700, async (refs) => refs.map(() => null))).rejects.toThrow(
      expect.objectContaining({ code: 'STORE_CORRUPT', message: 'tile/0/000 is missing' }),
    )
    await expect(rootAt(700, cut)).rejects.toThrow(expect.objectContaining({ code: 'STORE_CORRUPT' }))
  })

  test('sizes that cannot be are refused', async () => {
    for (const [small, size] of [
      [-1, 5],
      [6, 5],
      [0.5, 5],
      [0, NaN],
      [0, 2 ** 60],
    ] as const) {
      const refused = expect.objectContaining({ code: 'INPUT_INVALID' })
      await expect(inclusionProof(small, size, readTiles)).rejects.toThrow(refused)
      await expect(consistencyProof(small, size, readTiles)).rejects.toThrow(refused)
    }
    await expect(inclusionProof(5, 5, readTiles)).rejects.toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }))
  })
})

test('spans of proofs reach the largest sizes', () => {
  const size = Number.MAX_SAFE_INTEGER
  expect(inclusionSpans(size - 1, size)).toHaveLength(52)
  expect(consistencySpans(size - 1, size).length).toBeGreaterThan(50)
  expect(consistencySpans(2 ** 52, size)).toHaveLength(1)
})

function* changesOf(proof: readonly Uint8Array[]): Generator<Uint8Array[]> {
  for (const [i, hash] of proof.entries()) for (const flipped of flippedBits(hash)) yield proof.with(i, flipped)
  yield [...proof, Buffer.alloc(32)]
  if (proof.length > 0) yield proof.slice(1)
  if (proof.length > 0) yield proof.slice(0, -1)
  if (proof.length > 1) yield proof.toReversed()
}

function* flippedBits(bytes: Uint8Array): Generator<Buffer> {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    yield flipped
  }
}
