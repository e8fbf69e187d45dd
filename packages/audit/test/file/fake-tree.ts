import { createHash } from 'node:crypto'
import type { Delta, Head, Leaf, Row } from '../../src/store.ts'

/** The hash of a row in the fake tree. */
export function hashOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

/** The frontier of the fake tree: a chain, so that any head tells all that is below it. */
export function frontierOf(frontier: Uint8Array, row: Pick<Row, 'bytes'>): Buffer {
  return createHash('sha256').update(frontier).update(row.bytes).digest()
}

/** A tree with as many hashes in its tiles as the real one; those above the lowest level are made up. */
export function fold(rows: readonly Row[], head: Head): Delta {
  const size = head.size + rows.length
  const tiles: Delta['tiles'][number][] = []
  const addTiles = (level: number, from: number, to: number, hashOfIndex: (index: number) => Uint8Array): void => {
    for (let index = from; index < to;) {
      const end = Math.min(to, (Math.floor(index / 256) + 1) * 256)
      const hashes = Array.from({ length: end - index }, (_, i) => hashOfIndex(index + i))
      tiles.push({ level, index: Math.floor(index / 256), offset: index % 256, hashes: Buffer.concat(hashes) })
      index = end
    }
  }
  addTiles(0, head.size, size, (index) => hashOf(rows[index - head.size]!.bytes))
  for (let level = 1; 256 ** level <= size; level++) {
    const made = (index: number): Uint8Array => hashOf(Buffer.from(`${level} ${index}`))
    addTiles(level, Math.floor(head.size / 256 ** level), Math.floor(size / 256 ** level), made)
  }
  const frontier = rows.reduce<Uint8Array>((frontier, row) => frontierOf(frontier, row), head.frontier)
  return { leaves: rows.map((row, i) => leafOf(row, head.size + i)), tiles, head: { size, frontier } }
}

/** Facts of the test's own documents. */
export function leafOf({ id, bytes }: Pick<Row, 'id' | 'bytes'>, index: number): Leaf {
  const {
    scope = 'acme',
    actor = 'u_1',
    action = 'user.update',
    atMs = 1,
    refs = [],
  } = JSON.parse(Buffer.from(bytes).toString()) as {
    scope?: string
    actor?: string
    action?: string
    atMs?: number
    refs?: string[]
  }
  return {
    index,
    id,
    atMs,
    scope,
    actorType: 'user',
    actorId: actor,
    action,
    targetType: null,
    targetId: null,
    outcome: 'success',
    correlationId: null,
    refs,
  }
}
