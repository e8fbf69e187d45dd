import type { Files } from '@keelson/kernel/files'
import { AuditError } from '../error.ts'
import type { Head, TileAppend, TileRef } from '../store.ts'
import { openGrowingFile, type GrowingFile } from './growing-file.ts'

const HASH_BYTES = 32
const TILE_HASHES = 256

/** The tree: one file for each level, hash behind hash; a tile is a piece of it. */
export interface Tiles {
  /** Appends what leads from one head to the next. Counts when the new head does. */
  append(tiles: readonly TileAppend[], from: Head, to: Head): Promise<void>
  read(ref: TileRef, size: number): Promise<Uint8Array | null>
  close(): Promise<void>
}

export async function openTiles(files: Files, folder: string): Promise<Tiles> {
  const path = `${folder}/tile`
  await files.makeFolder(path)
  await files.syncFolder(folder)
  const levels = new Map<number, Promise<GrowingFile>>()
  function levelOf(level: number): Promise<GrowingFile> {
    const there = levels.get(level)
    if (there !== undefined) return there
    const opened = openGrowingFile(files, path, String(level))
    levels.set(level, opened)
    opened.catch(() => levels.delete(level))
    return opened
  }

  return {
    async append(tiles, from, to) {
      const added = addedHashes(tiles, from.size, to.size)
      await Promise.all(
        [...added].map(async ([level, hashes]) => {
          const file = await levelOf(level)
          await file.put(Buffer.concat(hashes), hashesAt(level, from.size) * HASH_BYTES)
        }),
      )
    },
    async read({ level, index }, size) {
      const first = index * TILE_HASHES
      const count = Math.min(TILE_HASHES, hashesAt(level, size) - first)
      if (count <= 0) return null
      const file = await levelOf(level)
      const bytes = await file.read(first * HASH_BYTES, count * HASH_BYTES)
      return new Uint8Array(bytes)
    },
    async close() {
      for (const level of levels.values()) await (await level).close()
    },
  }
}

/** How many hashes a level has: its subtrees are complete. */
function hashesAt(level: number, size: number): number {
  return Math.floor(size / TILE_HASHES ** level)
}

/** The hashes that each level gets, which must be exactly those that it misses. */
function addedHashes(tiles: readonly TileAppend[], from: number, to: number): Map<number, Uint8Array[]> {
  const added = new Map<number, Uint8Array[]>()
  const counts = new Map<number, number>()
  for (const { level, index, offset, hashes } of tiles) {
    const count = counts.get(level) ?? hashesAt(level, from)
    if (index * TILE_HASHES + offset !== count || hashes.length % HASH_BYTES !== 0)
      throw new AuditError('STORE_CORRUPT', `hashes for tile ${level}/${index} at ${offset} do not follow the ${count}`)
    counts.set(level, count + hashes.length / HASH_BYTES)
    const level_ = added.get(level)
    if (level_ === undefined) added.set(level, [hashes])
    else level_.push(hashes)
  }
  for (let level = 0; hashesAt(level, to) > 0; level++) {
    const count = counts.get(level) ?? hashesAt(level, from)
    if (count !== hashesAt(level, to))
      throw new AuditError('STORE_CORRUPT', `level ${level} of a tree of ${to} has ${count} hashes`)
  }
  return added
}
