import { AuditError } from '../error.ts'
import { parseBase64 } from '../note/base64.ts'
import { provesConsistency, type Tree } from '../tree/checks.ts'
import { HASH } from '../tree/hashing.ts'
import { malformed } from './malformed.ts'

/** Of a checkpoint: size, and root in base64. */
export interface TreeText {
  readonly size: number
  readonly root: string
}

/**
 * That a tree has an older one as its beginning: `hashes` as `audit.consistency` answers them, between two opened
 * checkpoints.
 * @throws AuditError INPUT_INVALID: these are no hashes or trees. STORE_CORRUPT: history was rewritten or cut off.
 */
export function verifyConsistency(hashes: readonly string[], old: TreeText, now: TreeText): void {
  if (!Array.isArray(hashes)) throw malformed('hashes', 'must be an array')
  const proof = hashes.map((text: unknown, i) => hashOf(`hashes[${i}]`, text))
  const [before, after] = [treeOf('old', old), treeOf('new', now)]
  if (before.size > after.size) {
    throw new AuditError('STORE_CORRUPT', `the log had ${before.size} entries, and has ${after.size} now`)
  }
  if (!provesConsistency(proof, before, after)) {
    throw new AuditError('STORE_CORRUPT', 'the hashes do not lead from the old root to the new one')
  }
}

function treeOf(title: string, tree: TreeText): Tree {
  if (!Number.isSafeInteger(tree?.size) || tree.size < 0)
    throw malformed(`${title}.size`, 'must be a number of entries')
  return { size: tree.size, root: hashOf(`${title}.root`, tree.root) }
}

function hashOf(title: string, text: unknown): Buffer {
  const hash = typeof text === 'string' ? parseBase64(text) : undefined
  if (hash?.length !== HASH) throw malformed(title, 'must be 32 bytes in base64')
  return hash
}
