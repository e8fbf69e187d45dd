import { AuditError } from '../error.ts'
import type { TileRef } from '../store.ts'
import { HASH } from './hashing.ts'
import { tilePath } from './tile-path.ts'

/** Levels of the tree in one tile (C2SP tlog-tiles), and hashes in a full one. */
export const TILE_HEIGHT = 8
export const TILE_WIDTH = 256

/** Tiles as a store has them: the whole of each, null where there is none. */
export type ReadTiles = (refs: readonly TileRef[]) => Promise<readonly (Uint8Array | null)[]>

/** How many hashes a tile has in a tree of that size; 0 or less: there is no such tile. */
export function tileWidth({ level, index }: TileRef, size: number): number {
  return Math.min(TILE_WIDTH, Math.floor(size / TILE_WIDTH ** level) - index * TILE_WIDTH)
}

/** How many leaves are below a full tile of a level. */
export function tileSpan(level: number): number {
  return TILE_WIDTH ** (level + 1)
}

/** A tile that was not read whole. */
export function brokenTile(ref: TileRef, tile: Uint8Array | null | undefined): AuditError {
  const path = tilePath({ ...ref, width: TILE_WIDTH })
  const state = tile == null ? 'is missing' : `has ${tile.length} bytes: too few, or no hashes of ${HASH}`
  return new AuditError('STORE_CORRUPT', `${path} ${state}`)
}
