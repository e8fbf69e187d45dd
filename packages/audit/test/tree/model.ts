/** RFC 6962, 2.1, word by word: trees are lists of entries, everything is hashed again and again. */
import { createHash } from 'node:crypto'

type Entries = readonly Uint8Array[]

/** MTH(D[n]) */
export function treeHash(entries: Entries): Buffer {
  if (entries.length === 0) return sha256()
  if (entries.length === 1) return sha256(Buffer.of(0), entries[0]!)
  const k = split(entries.length)
  return sha256(Buffer.of(1), treeHash(entries.slice(0, k)), treeHash(entries.slice(k)))
}

/** PATH(m, D[n]) */
export function path(m: number, entries: Entries): Buffer[] {
  if (entries.length === 1) return []
  const k = split(entries.length)
  if (m < k) return [...path(m, entries.slice(0, k)), treeHash(entries.slice(k))]
  return [...path(m - k, entries.slice(k)), treeHash(entries.slice(0, k))]
}

/** PROOF(m, D[n]) */
export function proof(m: number, entries: Entries): Buffer[] {
  return subproof(m, entries, true)
}

function subproof(m: number, entries: Entries, whole: boolean): Buffer[] {
  if (m === entries.length) return whole ? [] : [treeHash(entries)]
  const k = split(entries.length)
  if (m <= k) return [...subproof(m, entries.slice(0, k), whole), treeHash(entries.slice(k))]
  return [...subproof(m - k, entries.slice(k), false), treeHash(entries.slice(0, k))]
}

/** The largest power of two below n. */
function split(n: number): number {
  return 2 ** Math.floor(Math.log2(n - 1))
}

function sha256(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}
