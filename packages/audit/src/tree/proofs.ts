import { AuditError } from '../error.ts'
import type { TileRef } from '../store.ts'
import { emptyRoot, foldSubtrees, HASH, subtreeRoot } from './hashing.ts'
import { consistencySpans, inclusionSpans, type Span } from './spans.ts'
import { brokenTile, TILE_HEIGHT, TILE_WIDTH, type ReadTiles } from './tile.ts'

/** A complete subtree as a tile has it: the root over `count` hashes, a power of two, from `offset` on. */
interface Subtree extends TileRef {
  readonly offset: number
  readonly count: number
}

/**
 * That a leaf is in the tree of a size: hashes from its sibling up to the child of the root (RFC 6962, 2.1.1). One
 * reading of tiles.
 * @throws AuditError INPUT_INVALID, STORE_CORRUPT
 */
export async function inclusionProof(index: number, size: number, readTiles: ReadTiles): Promise<Uint8Array[]> {
  checkSizes('a leaf', index, size)
  if (index === size) throw new AuditError('INPUT_INVALID', `a tree of size ${size} has no leaf ${index}`)
  return await spanHashes(inclusionSpans(index, size), readTiles)
}

/**
 * That the tree of a new size has the one of the old size as its beginning (RFC 6962, 2.1.2). Empty for an old size of 0
 * and for equal ones. One reading of tiles.
 * @throws AuditError INPUT_INVALID, STORE_CORRUPT
 */
export async function consistencyProof(oldSize: number, newSize: number, readTiles: ReadTiles): Promise<Uint8Array[]> {
  checkSizes('an old size', oldSize, newSize)
  return oldSize === 0 ? [] : await spanHashes(consistencySpans(oldSize, newSize), readTiles)
}

/**
 * The root of the tree when it had that size. One reading of tiles.
 * @throws AuditError STORE_CORRUPT
 */
export async function rootAt(size: number, readTiles: ReadTiles): Promise<Uint8Array> {
  if (size === 0) return emptyRoot()
  const [root] = await spanHashes([{ from: 0, to: size }], readTiles)
  return root!
}

/** The roots over spans as RFC 6962 cuts a tree. */
async function spanHashes(spans: readonly Span[], readTiles: ReadTiles): Promise<Uint8Array[]> {
  const plan = spans.map(subtreesOf)
  const wanted = new Map<string, TileRef>()
  for (const { level, index } of plan.flat()) wanted.set(`${level}/${index}`, { level, index })
  const refs = [...wanted.values()]
  const read = refs.length === 0 ? [] : await readTiles(refs)
  const tiles = new Map([...wanted.keys()].map((key, i) => [key, read[i]]))
  return plan.map((subtrees) =>
    foldSubtrees(
      subtrees.map((subtree) => {
        const tile = tiles.get(`${subtree.level}/${subtree.index}`)
        const to = (subtree.offset + subtree.count) * HASH
        if (tile == null || tile.length < to) throw brokenTile(subtree, tile)
        return subtreeRoot(tile.subarray(subtree.offset * HASH, to))
      }),
    ),
  )
}

/** The largest complete subtrees that a span is made of, from left to right. */
function subtreesOf({ from, to }: Span): Subtree[] {
  const subtrees: Subtree[] = []
  for (let at = from; at < to;) {
    let [height, leaves] = [0, 1]
    while (at % (leaves * 2) === 0 && at + leaves * 2 <= to) [height, leaves] = [height + 1, leaves * 2]
    const level = Math.floor(height / TILE_HEIGHT)
    const first = at / TILE_WIDTH ** level // in its level
    const offset = first % TILE_WIDTH
    subtrees.push({ level, index: (first - offset) / TILE_WIDTH, offset, count: 2 ** (height % TILE_HEIGHT) })
    at += leaves
  }
  return subtrees
}

function checkSizes(title: string, small: number, size: number): void {
  if (Number.isSafeInteger(small) && Number.isSafeInteger(size) && small >= 0 && small <= size) return
  throw new AuditError('INPUT_INVALID', `${title} must be an integer from 0 to the size ${size} (got ${small})`)
}
