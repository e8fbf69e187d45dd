import { join } from 'node:path'
import { AuditError } from '../error.ts'
import { parseCheckpoint, type CheckpointText } from '../note/checkpoint.ts'
import { noteText } from '../note/note.ts'
import type { TileRef } from '../store.ts'
import { formatBundle } from './bundle.ts'
import { CHECKPOINT, CHECKPOINT_BYTES, lengthOf, readUpTo, removeFolder, writeWhole } from './disk.ts'
import { HASH, same } from './hashing.ts'
import { rootAt } from './proofs.ts'
import { brokenTile, TILE_WIDTH, tileWidth, type ReadTiles } from './tile.ts'
import { tilePath, type TilePath } from './tile-path.ts'

/** Where a tree comes from. */
export interface TreeSource {
  /** A signed note; what is exported is the tree of its size. */
  readonly checkpoint: string
  readonly readTiles: ReadTiles
  /** So many entries from an index on; null for one whose bytes were dropped. */
  readEntries(from: number, count: number): Promise<readonly (Uint8Array | null)[]>
}

/** Files that are written at a time: a disk takes several for little more than one. */
const AT_ONCE = 16

/**
 * Writes a static tree (C2SP tlog-tiles) with its entries into a directory: the checkpoint last, so whoever reads finds
 * all that it speaks of. What is there already is not written again; bundles of which entries were dropped are left
 * out. An older tree in the directory is a witness: it must be the beginning of the new one.
 * @throws AuditError INPUT_INVALID: the directory has another log. STORE_CORRUPT: the tiles do not fit the checkpoint,
 * or not the older tree. STORE_FULL, STORE_UNAVAILABLE: of the disk.
 */
export async function exportTree(dir: string, source: TreeSource): Promise<{ readonly size: number }> {
  const { origin, size, root } = checkpointOf(source.checkpoint, 'the checkpoint')
  if (!same(await rootAt(size, source.readTiles), root)) {
    throw new AuditError('STORE_CORRUPT', `the tiles do not make the root of the checkpoint of size ${size}`)
  }
  await checkOlder(dir, { origin, size }, source.readTiles)

  const filled: string[] = []
  for (let level = 0; tileWidth({ level, index: 0 }, size) > 0; level++) {
    for await (const files of absent(dir, level, size)) {
      const tiles = await source.readTiles(files)
      await Promise.all(files.map((file, i) => writeWhole(join(dir, tilePath(file)), hashesOf(file, tiles[i]))))
      filled.push(...pathsOfFull(files))
    }
  }
  for await (const files of absent(dir, 'entries', size)) {
    for (const file of files) {
      const entries = await source.readEntries(file.index * TILE_WIDTH, file.width)
      if (entries.length === file.width && entries.every((bytes) => bytes !== null)) {
        await writeWhole(join(dir, tilePath(file)), formatBundle(entries))
        filled.push(...pathsOfFull([file]))
      }
    }
  }
  await writeWhole(join(dir, CHECKPOINT), Buffer.from(source.checkpoint))
  // Beside a full one, those that were not full are of no use: the specification lets them go.
  for (const path of filled) await removeFolder(join(dir, `${path}.p`))
  return { size }
}

/** Files of a level that a tree of this size has and the directory has not, some at a time. */
async function* absent<L extends TilePath['level']>(
  dir: string,
  level: L,
  size: number,
): AsyncGenerator<(TilePath & { readonly level: L })[]> {
  const width = (index: number): number => tileWidth({ level: level === 'entries' ? 0 : level, index }, size)
  for (let index = 0; width(index) > 0; index += AT_ONCE) {
    const all = Array.from({ length: AT_ONCE }, (_, i) => ({ level, index: index + i, width: width(index + i) }))
    const files = all.filter((file) => file.width > 0)
    const lengths = await Promise.all(files.map((file) => lengthOf(join(dir, tilePath(file)))))
    // A bundle's length is not known; it has its name when it is whole.
    const missing = files.filter(({ width }, i) =>
      level === 'entries' ? lengths[i] === undefined : lengths[i] !== width * HASH,
    )
    if (missing.length > 0) yield missing
  }
}

function hashesOf(file: TileRef & { readonly width: number }, tile: Uint8Array | null | undefined): Uint8Array {
  if (tile == null || tile.length < file.width * HASH) throw brokenTile(file, tile)
  return tile.subarray(0, file.width * HASH)
}

function pathsOfFull(files: readonly TilePath[]): string[] {
  return files.filter(({ width }) => width === TILE_WIDTH).map(tilePath)
}

async function checkOlder(
  dir: string,
  now: Pick<CheckpointText, 'origin' | 'size'>,
  readTiles: ReadTiles,
): Promise<void> {
  const there = await readUpTo(join(dir, CHECKPOINT), CHECKPOINT_BYTES)
  if (there === null) return
  const old = checkpointOf(there.toString(), `the checkpoint in ${dir}`)
  if (old.origin !== now.origin) {
    throw new AuditError('INPUT_INVALID', `${dir} has the log ${old.origin}, not ${now.origin}`)
  }
  if (old.size > now.size) {
    throw new AuditError('STORE_CORRUPT', `${dir} has ${old.size} entries, the log only ${now.size}`)
  }
  if (!same(await rootAt(old.size, readTiles), old.root)) {
    throw new AuditError('STORE_CORRUPT', `the first ${old.size} entries are not those that ${dir} has`)
  }
}

function checkpointOf(note: string, title: string): CheckpointText {
  const text = noteText(note)
  const parsed = text === undefined ? 'is no signed note' : parseCheckpoint(text)
  if (typeof parsed === 'string') throw new AuditError('INPUT_INVALID', `${title} ${parsed}`)
  return parsed
}
