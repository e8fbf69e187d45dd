import { formatCheckpoint } from '../../src/note/checkpoint.ts'
import { generateKey, parseSigner } from '../../src/note/keys.ts'
import { signNote } from '../../src/note/note.ts'
import { formatProof } from '../../src/note/proof.ts'
import { consistencyProof, inclusionProof, rootAt } from '../../src/tree/proofs.ts'
import type { TreeSource } from '../../src/tree/export-tree.ts'
import { entriesOf, growTree } from '../tree/grown-tree.ts'

/** A log in memory that signs. */
export interface Log {
  readonly verifier: string
  readonly entries: (Buffer | null)[]
  grow(count: number): void
  checkpoint(size?: number): Promise<string>
  root(size: number): Promise<string>
  proof(index: number): Promise<string>
  consistency(oldSize: number): Promise<string[]>
  source(): Promise<TreeSource>
}

/** A log of that origin. */
export function openLog(origin = 'acme.example/audit', text = 'entry'): Log {
  const { signer, verifier } = generateKey(origin)
  const tree = growTree()
  const readTiles: typeof tree.readTiles = (refs) => tree.readTiles(refs)
  return {
    verifier,
    entries: [],
    grow(count) {
      const more = entriesOf(this.entries.length + count, text).slice(this.entries.length)
      tree.append(more)
      this.entries.push(...more)
    },
    async checkpoint(size = tree.head.size) {
      const root = await rootAt(size, readTiles)
      return signNote(formatCheckpoint({ origin, size, root }), [parseSigner('key', signer)])
    },
    root: async (size) => Buffer.from(await rootAt(size, readTiles)).toString('base64'),
    async proof(index) {
      const hashes = await inclusionProof(index, tree.head.size, readTiles)
      return formatProof({ index, hashes, checkpoint: await this.checkpoint() })
    },
    async consistency(oldSize) {
      const hashes = await consistencyProof(oldSize, tree.head.size, readTiles)
      return hashes.map((hash) => Buffer.from(hash).toString('base64'))
    },
    async source() {
      return {
        checkpoint: await this.checkpoint(),
        readTiles,
        readEntries: async (from, count) => this.entries.slice(from, from + count),
      }
    },
  }
}
