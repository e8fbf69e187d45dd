import type { Head, TileAppend, TileRef } from '../../src/store.ts'
import { leafHashes } from '../../src/tree/hashing.ts'
import { appendLeaves, emptyHead } from '../../src/tree/head.ts'

/** A tree and its tiles, as a store would keep them. */
export interface GrownTree {
  readonly tiles: Map<string, Buffer>
  head: Head
  /** How often tiles were read. */
  reads: number
  append(entries: readonly Uint8Array[]): void
  readTiles(refs: readonly TileRef[]): Promise<(Uint8Array | null)[]>
}

/** An empty one that grows. */
export function growTree(): GrownTree {
  const tiles = new Map<string, Buffer>()
  return {
    tiles,
    head: emptyHead,
    reads: 0,
    append(entries) {
      const appended = appendLeaves(this.head, leafHashes(entries))
      for (const each of appended.tiles) keep(tiles, each)
      this.head = appended.head
    },
    async readTiles(refs) {
      this.reads += 1
      return refs.map(({ level, index }) => tiles.get(`${level}/${index}`) ?? null)
    },
  }
}

/** Entries that differ. */
export function entriesOf(count: number, text = 'entry'): Buffer[] {
  return Array.from({ length: count }, (_, i) => Buffer.from(`${text} ${i}`))
}

function keep(tiles: Map<string, Buffer>, { level, index, offset, hashes }: TileAppend): void {
  const key = `${level}/${index}`
  const tile = tiles.get(key) ?? Buffer.alloc(0)
  if (tile.length !== offset * 32) throw new Error(`tile ${key} has ${tile.length} bytes, not ${offset} hashes`)
  tiles.set(key, Buffer.concat([tile, hashes]))
}
