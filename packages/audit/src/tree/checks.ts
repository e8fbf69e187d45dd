import { emptyRoot, nodeHash, same } from './hashing.ts'
import { consistencySpans, inclusionSpans } from './spans.ts'

/** The size and the root of a tree. */
export interface Tree {
  readonly size: number
  readonly root: Uint8Array
}

/** Whether a proof leads from the leaf at an index to the root (RFC 9162, 2.1.3.2). */
export function provesInclusion(index: number, leaf: Uint8Array, proof: readonly Uint8Array[], tree: Tree): boolean {
  if (index >= tree.size) return false
  const spans = inclusionSpans(index, tree.size)
  if (spans.length !== proof.length) return false
  let hash = leaf
  for (const [i, { to }] of spans.entries()) hash = to <= index ? nodeHash(proof[i]!, hash) : nodeHash(hash, proof[i]!)
  return same(hash, tree.root)
}

/** Whether a proof leads from the old root to the new one (RFC 9162, 2.1.4.2). Everything begins with an empty tree. */
export function provesConsistency(proof: readonly Uint8Array[], old: Tree, now: Tree): boolean {
  if (old.size > now.size) return false
  if (old.size === 0) {
    return proof.length === 0 && same(old.root, emptyRoot()) && (now.size > 0 || same(now.root, old.root))
  }
  const spans = consistencySpans(old.size, now.size)
  if (spans.length !== proof.length) return false
  // The first one ends with the old tree, unless it is that tree.
  const shared = spans[0]?.to === old.size ? 1 : 0
  let oldRoot = shared === 1 ? proof[0]! : old.root
  let newRoot = oldRoot
  for (const [i, { from }] of spans.entries()) {
    if (i < shared) continue
    const hash = proof[i]!
    if (from >= old.size) {
      newRoot = nodeHash(newRoot, hash)
    } else {
      oldRoot = nodeHash(hash, oldRoot)
      newRoot = nodeHash(hash, newRoot)
    }
  }
  return same(oldRoot, old.root) && same(newRoot, now.root)
}
