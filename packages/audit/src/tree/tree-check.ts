/*
 * Reads a whole log again and says what is not as it was sealed. Everything is written at two places at least: an entry
 * and its leaf hash in a tile, a tile and its hash in the tile above, the last ones and the root. Where two differ, the
 * third one says which is wrong: hashes of what is below, the tile as it is stored, and what stands above it.
 */
import type { TileRef } from '../store.ts'
import { foldSubtrees, HASH, same, subtreeRoot, writeLeafHash } from './hashing.ts'
import { TILE_WIDTH, tileSpan, tileWidth, type ReadTiles } from './tile.ts'

/** Something that is wrong with a log. */
export type TreeFault =
  /** The entry has other bytes than the sealed ones. */
  | { readonly kind: 'entry'; readonly index: number }
  /** Entries from an index to another were changed together with their tiles: which of them, nobody can tell. */
  | { readonly kind: 'span'; readonly from: number; readonly to: number }
  /** The tile is missing, cut off, or has other hashes. */
  | { readonly kind: 'tile'; readonly level: number; readonly index: number }

/** What a check is given. */
export interface TreeCheckOptions {
  /** Of the tree; more may be stored already. */
  readonly size: number
  /** Of that tree, from a checkpoint if there is one: it decides for the last tiles, above which nothing stands. */
  readonly root: Uint8Array
  readonly readTiles: ReadTiles
  /** In the order in which faults are found; each once. */
  readonly report: (fault: TreeFault) => void
}

/** A check under way. Keeps a tile of each level beside the entries it is given. */
export interface TreeCheck {
  /**
   * The next entries, from index 0 on, without a gap; null for one whose bytes are not there, which is the caller's to
   * judge. One reading of tiles.
   */
  add(entries: readonly (Uint8Array | null)[]): Promise<void>
  /** When all `size` entries were added: the root of the tree as it was found. Not the expected one: a fault too. */
  end(): Uint8Array
}

/** A tile that is compared. */
interface OpenTile extends TileRef {
  /** As it is stored; undefined if it is missing or cut off. */
  readonly stored: Uint8Array | undefined
  /** As it follows from what is below, so far `count` of them. */
  readonly found: Buffer
  count: number
  /** Neither bytes nor a stored hash are there for some. */
  unknown: boolean
}

/** Begins to check a tree. */
export function createTreeCheck({ size, root, readTiles, report }: TreeCheckOptions): TreeCheck {
  /** By level. */
  const open: OpenTile[] = []
  let next = 0

  /** Those whose first leaf is one of the next. */
  async function openTiles(count: number): Promise<Map<string, OpenTile>> {
    const refs = tilesBeginning(next, next + count, size)
    const tiles = refs.length === 0 ? [] : await readTiles(refs)
    return new Map(refs.map((ref, i) => [keyOf(ref), openTile(ref, tiles[i])]))
  }

  function openTile(ref: TileRef, tile: Uint8Array | null | undefined): OpenTile {
    const bytes = tileWidth(ref, size) * HASH
    const stored = tile == null || tile.length < bytes ? undefined : tile.subarray(0, bytes)
    if (stored === undefined) report({ kind: 'tile', ...ref })
    return { ...ref, stored, found: Buffer.alloc(bytes), count: 0, unknown: false }
  }

  function addLeaf(tile: OpenTile, bytes: Uint8Array | null): void {
    const at = tile.count * HASH
    if (bytes !== null) writeLeafHash(tile.found, at, bytes)
    else if (tile.stored !== undefined) tile.found.set(tile.stored.subarray(at, at + HASH), at)
    else tile.unknown = true
    tile.count += 1
  }

  /** What stands above a full tile, as far as it can be told. */
  function close(tile: OpenTile, parent: OpenTile): Uint8Array {
    const above = parent.stored?.subarray(parent.count * HASH, (parent.count + 1) * HASH)
    const found = subtreeRoot(tile.found)
    if (tile.stored === undefined) return tile.unknown && above !== undefined ? above : found
    if (same(tile.stored, tile.found)) return found
    const stored = subtreeRoot(tile.stored)
    const right = above === undefined ? undefined : whichIs(above, { stored, found })
    blame(tile, right)
    return right === 'stored' ? stored : found
  }

  function blame({ level, index, stored, found }: OpenTile, right: 'stored' | 'found' | undefined): void {
    if (stored === undefined || same(stored, found)) return
    if (right !== 'found') {
      const leaves = TILE_WIDTH ** level
      for (const at of differing(stored, found)) {
        const from = (index * TILE_WIDTH + at) * leaves
        report(level === 0 ? { kind: 'entry', index: from } : { kind: 'span', from, to: from + leaves })
      }
    }
    if (right !== 'stored') report({ kind: 'tile', level, index })
  }

  return {
    async add(entries) {
      const opened = await openTiles(entries.length)
      for (const bytes of entries) {
        for (let level = 0; next % tileSpan(level) === 0; level++) {
          const tile = opened.get(keyOf({ level, index: next / tileSpan(level) }))
          if (tile === undefined) break
          open[level] = tile
        }
        addLeaf(open[0]!, bytes)
        next += 1
        for (let level = 0; open[level]?.count === TILE_WIDTH; level++) {
          const parent = open[level + 1]!
          parent.found.set(close(open[level]!, parent), parent.count * HASH)
          parent.count += 1
        }
      }
    },

    end() {
      const last = open.filter(({ found }) => found.length < TILE_WIDTH * HASH)
      const found = rootOver(last.map((tile) => tile.found))
      if (last.every((tile) => tile.stored === undefined || same(tile.stored, tile.found))) return found
      const stored = rootOver(last.map((tile) => tile.stored ?? tile.found))
      const right = whichIs(root, { stored, found })
      for (const tile of last) blame(tile, right)
      return right === 'stored' ? stored : found
    },
  }
}

/** Tiles of a tree whose first leaf is one of these. */
function tilesBeginning(from: number, to: number, size: number): TileRef[] {
  const refs: TileRef[] = []
  for (let level = 0; tileWidth({ level, index: 0 }, size) > 0; level++) {
    const span = tileSpan(level)
    for (let index = Math.ceil(from / span); index * span < to && tileWidth({ level, index }, size) > 0; index++) {
      refs.push({ level, index })
    }
  }
  return refs
}

/** The root over tiles that are not full, lowest level first. */
function rootOver(tiles: readonly Uint8Array[]): Uint8Array {
  return foldSubtrees(tiles.toReversed().flatMap(subtreesOf))
}

/** The complete subtrees over the hashes of a tile, from left to right. */
function subtreesOf(hashes: Uint8Array): Uint8Array[] {
  const roots: Uint8Array[] = []
  let at = 0
  for (let width = TILE_WIDTH / 2; width >= 1; width /= 2) {
    if (hashes.length - at < width * HASH) continue
    roots.push(subtreeRoot(hashes.subarray(at, (at += width * HASH))))
  }
  return roots
}

/** Which hashes of two tiles are not the same. */
function differing(a: Uint8Array, b: Uint8Array): number[] {
  const hashAt = (tile: Uint8Array, i: number): Uint8Array => tile.subarray(i * HASH, (i + 1) * HASH)
  return Array.from({ length: a.length / HASH }, (_, i) => i).filter((i) => !same(hashAt(a, i), hashAt(b, i)))
}

function whichIs(
  hash: Uint8Array,
  { stored, found }: { readonly stored: Uint8Array; readonly found: Uint8Array },
): 'stored' | 'found' | undefined {
  if (same(hash, stored)) return 'stored'
  return same(hash, found) ? 'found' : undefined
}

function keyOf({ level, index }: TileRef): string {
  return `${level}/${index}`
}
