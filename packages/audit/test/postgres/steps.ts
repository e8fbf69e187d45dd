import { createHash, hash } from 'node:crypto'
import { uuidv7 } from '@keelson/kernel'
import type { AuditStore, Delta, Facts, Head, Leaf, Row, TileAppend } from '@keelson/audit'

/** A row; its facts are its bytes. */
export function aRow(facts: Partial<Facts> & { readonly note?: string } = {}, id: string = uuidv7()): Row {
  const { atMs = 1_700_000_000_000, ...more } = facts
  const body = {
    scope: 'a',
    action: 'user.update',
    outcome: 'success',
    actorType: 'user',
    actorId: 'u_1',
    atMs,
    ...more,
    id,
  }
  return { id, bytes: new TextEncoder().encode(JSON.stringify(body)), keys: [] }
}

export const someRows = (count: number, facts: (n: number) => Partial<Facts> = () => ({})): Row[] =>
  Array.from({ length: count }, (_, n) => aRow(facts(n)))

/** A tree as a store sees it: hashes of leaves at level 0, and a head that depends on all before it. */
export function fold(rows: readonly Row[], head: Head): Delta {
  const tiles: TileAppend[] = []
  const chain = createHash('sha256').update(head.frontier)
  for (const [i, { bytes }] of rows.entries()) {
    const leaf = hash('sha256', bytes, 'buffer')
    chain.update(leaf)
    const at = head.size + i
    const index = Math.floor(at / 256)
    const last = tiles.at(-1)
    if (last?.index === index) tiles[tiles.length - 1] = { ...last, hashes: Buffer.concat([last.hashes, leaf]) }
    else tiles.push({ level: 0, index, offset: at % 256, hashes: leaf })
  }
  return {
    leaves: rows.map((row, i) => leafOf(row, head.size + i)),
    tiles,
    head: { size: head.size + rows.length, frontier: chain.digest() },
  }
}

function leafOf({ id, bytes }: Row, index: number): Leaf {
  const none = { actorType: null, actorId: null, targetType: null, targetId: null, correlationId: null, refs: [] }
  const {
    id: _,
    note: __,
    ...facts
  } = JSON.parse(Buffer.from(bytes).toString()) as Facts & { id: string; note: string }
  return { ...none, ...facts, index, id }
}

/** Seals once. A turn that failed, or found nothing, is rolled back behind its answer: until then the log is busy. */
export async function sealOnce(store: AuditStore, log: string, max: number, how = fold): Promise<number> {
  for (;;) {
    const sealed = await store.seal(log, max, how)
    if (sealed !== 'busy') return sealed
  }
}

/** Seals all there is. */
export async function sealAll(store: AuditStore, log = 'main', max = 1_000): Promise<number> {
  let sealed = 0
  for (;;) {
    const some = await sealOnce(store, log, max)
    sealed += some
    if (some < max) return sealed
  }
}

/** Everything that is sealed, from the first on; fails unless indexes are dense. */
export async function sealedIds(store: AuditStore, log = 'main'): Promise<string[]> {
  const ids: string[] = []
  for (;;) {
    const rows = await store.read(log, ids.length, { entries: 1_000, bytes: 1e9 })
    if (rows.length === 0) return ids
    for (const { leaf } of rows) {
      if (leaf.index !== ids.length) throw new Error(`index ${leaf.index} where ${ids.length} is due`)
      ids.push(leaf.id)
    }
  }
}

/** The id of an instant. */
export function idAt(ms: number, n = 0): string {
  const time = ms.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${n.toString(16).padStart(12, '0')}`
}
