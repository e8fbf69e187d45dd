import { join } from 'node:path'
import { checkOptions, opt } from '@keelson/kernel'
import { AuditError, optionFailure } from '../error.ts'
import { parseBundle } from '../tree/bundle.ts'
import type { Tree } from '../tree/checks.ts'
import { CHECKPOINT, CHECKPOINT_BYTES, readUpTo } from '../tree/disk.ts'
import { HASH, same } from '../tree/hashing.ts'
import { rootAt } from '../tree/proofs.ts'
import { TILE_WIDTH, tileWidth, type ReadTiles } from '../tree/tile.ts'
import { tilePath, type TilePath } from '../tree/tile-path.ts'
import { createTreeCheck, type TreeFault } from '../tree/tree-check.ts'
import { malformed } from './malformed.ts'
import { openTree, verifiersOf, type OpenedCheckpoint } from './open-checkpoint.ts'

/** What `verifyTiles` takes. */
export interface VerifyTilesOptions {
  /** Verifiers of the log; one must have signed. */
  readonly keys: readonly string[]
  /** Checkpoints of the log that were kept elsewhere: the directory must not tell another history. */
  readonly against?: readonly string[]
  /** Entries below this index may be missing, with those of the same bundle: retention dropped them. Default 0. */
  readonly pruned?: number
}

const notesAllowed = 'an array of signed checkpoints'
const SPEC = {
  keys: opt.custom<readonly string[]>('an array of verifiers', () => true),
  against: opt.custom<readonly string[]>(notesAllowed, (given) => Array.isArray(given)),
  pruned: opt.integer(0),
}

/** Bundles that are in memory at a time; each has up to 16 MiB. */
const AT_ONCE = 4
/** 256 entries of the largest size with their lengths. */
const BUNDLE_BYTES = TILE_WIDTH * (2 + 65_535)

/**
 * Reads and hashes a static tree (C2SP tlog-tiles) with its entries, as `audit.exportTiles` writes it: nothing but the
 * directory and the keys is trusted. Answers its checkpoint.
 * @throws AuditError STORE_CORRUPT at the first fault, which names the index of the entry. INPUT_INVALID: what should be
 * a checkpoint is none. STORE_UNAVAILABLE: a file cannot be read. OPTION_INVALID: an option or a key.
 */
export async function verifyTiles(dir: string, options: VerifyTilesOptions): Promise<OpenedCheckpoint> {
  const { keys, against = [], pruned } = checkOptions('verifyTiles', options, SPEC, optionFailure)
  const known = verifiersOf('verifyTiles', keys ?? [])
  const note = await readUpTo(join(dir, CHECKPOINT), CHECKPOINT_BYTES)
  if (note === null) throw corrupt(`${dir} has no checkpoint`)
  const { root, ...checkpoint } = openTree(decoded(note), known)
  const { size, origin } = checkpoint
  const kept = against.map((each, i) => ({ title: `against[${i}]`, ...openTree(each, known, `against[${i}]`) }))
  for (const { title, ...old } of kept) {
    if (old.origin !== origin) throw malformed(title, `is of the log ${old.origin}, not ${origin}`)
    if (old.size > size) throw corrupt(`${title} has ${old.size} entries, ${dir} only ${size}: its end was cut off`)
  }

  const readTiles = tilesOf(dir, size)
  await checkEntries(dir, { size, root }, readTiles, pruned)
  for (const { title, ...old } of kept) {
    if (same(await rootAt(old.size, readTiles), old.root)) continue
    throw corrupt(`${title}: history was rewritten, the root of ${old.size} entries was another one`)
  }
  return { ...checkpoint, root: root.toString('base64') }
}

async function checkEntries(dir: string, { size, root }: Tree, readTiles: ReadTiles, pruned: number): Promise<void> {
  const report = (fault: TreeFault): never => {
    throw corrupt(tell(fault))
  }
  const check = createTreeCheck({ size, root, readTiles, report })
  for (let from = 0; from < size; from += AT_ONCE * TILE_WIDTH) {
    const starts = Array.from({ length: AT_ONCE }, (_, i) => from + i * TILE_WIDTH).filter((start) => start < size)
    const bundles = await Promise.all(starts.map((start) => readBundle(dir, start, size, pruned)))
    await check.add(bundles.flatMap(({ entries }) => entries))
    const fault = bundles.find((bundle) => bundle.fault !== undefined)?.fault
    if (fault === undefined) continue
    // What is wrong with an entry itself says more than that its bundle cannot be read behind it.
    if (from + AT_ONCE * TILE_WIDTH >= size) check.end()
    throw corrupt(fault)
  }
  if (!same(check.end(), root)) throw corrupt(`the entries do not make the root of the checkpoint of size ${size}`)
}

/** The entries of a bundle: null where they are dropped, or cannot be read because of a fault. */
async function readBundle(
  dir: string,
  from: number,
  size: number,
  pruned: number,
): Promise<{ readonly entries: (Uint8Array | null)[]; readonly fault?: string }> {
  const width = Math.min(TILE_WIDTH, size - from)
  const file = { level: 'entries', index: from / TILE_WIDTH, width } as const
  const found = await readTileFile(dir, file, BUNDLE_BYTES)
  if (found === null) {
    const entries = Array<null>(width).fill(null)
    return from < pruned ? { entries } : { entries, fault: `entry ${from}: ${tilePath(file)} is missing` }
  }
  const { entries, rest } = parseBundle(found.bytes)
  const all = Array.from({ length: width }, (_, i) => entries[i] ?? null)
  if (entries.length < width) return { entries: all, fault: `entry ${from + entries.length} is cut off` }
  // More than the checkpoint speaks of may be in a bundle that was full later.
  if (rest === 0 && entries.length === found.width) return { entries: all }
  return { entries: all, fault: `entry ${from + width - 1}: ${tilePath(file)} has something behind its entries` }
}

/** Tiles as a tree of that size has them. */
function tilesOf(dir: string, size: number): ReadTiles {
  return async (refs) =>
    await Promise.all(
      refs.map(async (ref) => {
        const file = { ...ref, width: tileWidth(ref, size) }
        const found = await readTileFile(dir, file, TILE_WIDTH * HASH)
        if (found === null) return null
        if (found.bytes.length !== found.width * HASH) {
          throw corrupt(`${tilePath({ ...ref, width: found.width })} has not ${found.width} hashes`)
        }
        return found.bytes.subarray(0, file.width * HASH)
      }),
    )
}

/** A file, or the full one in its place: the others may be removed then. */
async function readTileFile(
  dir: string,
  file: TilePath,
  most: number,
): Promise<{ readonly bytes: Buffer; readonly width: number } | null> {
  for (const width of new Set([file.width, TILE_WIDTH])) {
    const bytes = await readUpTo(join(dir, tilePath({ ...file, width })), most)
    if (bytes !== null) return { bytes, width }
  }
  return null
}

function tell(fault: TreeFault): string {
  switch (fault.kind) {
    case 'entry':
      return `entry ${fault.index} is not the one that was sealed`
    case 'span':
      return `entries ${fault.from} to ${fault.to - 1} are not those that were sealed: their tiles were changed with them`
    case 'tile':
      return `${tilePath({ ...fault, width: TILE_WIDTH })} is missing or was changed`
  }
}

function decoded(note: Buffer): string {
  try {
    // A mark of byte order would be a change that nobody sees.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(note)
  } catch (cause) {
    throw new AuditError('INPUT_INVALID', 'checkpoint: must be UTF-8', { cause })
  }
}

function corrupt(message: string): AuditError {
  return new AuditError('STORE_CORRUPT', message)
}
