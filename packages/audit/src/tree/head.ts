import { AuditError } from '../error.ts'
import type { Head, TileAppend } from '../store.ts'
import { foldSubtrees, HASH, parentsOf } from './hashing.ts'
import { TILE_HEIGHT, TILE_WIDTH } from './tile.ts'

/** Of a log without entries. */
export const emptyHead: Head = { size: 0, frontier: Buffer.alloc(0) }

/**
 * The root hash of a tree.
 * @throws AuditError STORE_CORRUPT
 */
export function rootOf(head: Head): Uint8Array {
  checkHead(head)
  const { frontier } = head
  return foldSubtrees(
    Array.from({ length: frontier.length / HASH }, (_, i) => frontier.subarray(i * HASH, (i + 1) * HASH)),
  )
}

/**
 * Appends leaf hashes, 32 bytes each: the new head, and what is appended to tiles. A row of nodes after the other, so
 * it costs hardly more than a hash a leaf.
 * @throws AuditError STORE_CORRUPT
 */
export function appendLeaves(head: Head, hashes: Uint8Array): { readonly head: Head; readonly tiles: TileAppend[] } {
  checkHead(head)
  const size = head.size + hashes.length / HASH
  const tiles: TileAppend[] = []
  const frontier: Uint8Array[] = []
  let known = head.frontier.length
  let fresh = hashes
  for (let height = 0, leaves = 1; leaves <= size; height++, leaves *= 2) {
    const before = Math.floor(head.size / leaves)
    if (height % TILE_HEIGHT === 0) tiles.push(...cutIntoTiles(height / TILE_HEIGHT, before, fresh))
    // Of an odd number, the last one waits in the frontier for its sibling.
    const single = before % 2 === 1 ? head.frontier.subarray(known - HASH, known) : undefined
    if (single !== undefined) known -= HASH
    const unpaired = single === undefined ? fresh : Buffer.concat([single, fresh])
    const odd = unpaired.length % (2 * HASH)
    if (odd !== 0) frontier.unshift(unpaired.subarray(unpaired.length - HASH))
    fresh = parentsOf(unpaired)
  }
  return { head: { size, frontier: Buffer.concat(frontier) }, tiles }
}

function cutIntoTiles(level: number, before: number, fresh: Uint8Array): TileAppend[] {
  const tiles: TileAppend[] = []
  for (let at = 0; at < fresh.length;) {
    const first = before + at / HASH
    const offset = first % TILE_WIDTH
    const hashes = fresh.subarray(at, at + (TILE_WIDTH - offset) * HASH)
    tiles.push({ level, index: (first - offset) / TILE_WIDTH, offset, hashes })
    at += hashes.length
  }
  return tiles
}

function checkHead({ size, frontier }: Head): void {
  let subtrees = 0
  for (let left = size; left > 0; left = Math.floor(left / 2)) subtrees += left % 2
  if (Number.isSafeInteger(size) && size >= 0 && frontier.length === subtrees * HASH) return
  throw new AuditError(
    'STORE_CORRUPT',
    `the head of the tree: ${frontier.length} bytes are no frontier of size ${size}`,
  )
}
