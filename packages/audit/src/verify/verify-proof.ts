import { AuditError } from '../error.ts'
import { parseProof } from '../note/proof.ts'
import { provesInclusion } from '../tree/checks.ts'
import { leafHash } from '../tree/hashing.ts'
import { malformed } from './malformed.ts'
import { openTree, verifiersOf, type OpenedCheckpoint } from './open-checkpoint.ts'

/**
 * That an entry with exactly these bytes is in a log: the proof as `audit.proof` answers it (c2sp.org/tlog-proof@v1).
 * Answers where it is, and the checkpoint that says so.
 * @throws AuditError INPUT_INVALID: it is no proof. STORE_CORRUPT: it does not prove that. OPTION_INVALID: a key.
 */
export function verifyProof(
  proof: string,
  bytes: Uint8Array,
  keys: readonly string[],
): { readonly index: number; readonly checkpoint: OpenedCheckpoint } {
  const known = verifiersOf('verifyProof', keys)
  if (typeof proof !== 'string') throw malformed('proof', 'must be a string')
  if (!(bytes instanceof Uint8Array)) throw malformed('bytes', 'must be a Uint8Array: those of the entry')
  const parsed = parseProof(proof)
  if (typeof parsed === 'string') throw malformed('proof', parsed)
  const { index, hashes, checkpoint } = parsed
  const { root, ...opened } = openTree(checkpoint, known, 'checkpoint of the proof')
  if (!provesInclusion(index, leafHash(bytes), hashes, { size: opened.size, root })) {
    throw new AuditError('STORE_CORRUPT', `the proof does not lead from these bytes at ${index} to the checkpoint`)
  }
  return { index, checkpoint: { ...opened, root: root.toString('base64') } }
}
