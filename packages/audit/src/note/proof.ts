/*
 * A proof that an entry is in a log, for whoever has the entry and the log's verifier (c2sp.org/tlog-proof@v1): the
 * index, the hashes of RFC 6962 2.1.1 and the checkpoint they lead to.
 */
import { HASH } from '../tree/hashing.ts'
import { parseBase64 } from './base64.ts'
import { parseSize } from './checkpoint.ts'

/** What such a text says; nothing of it is proven. */
export interface ProofText {
  readonly index: number
  readonly hashes: readonly Uint8Array[]
  /** A signed note. */
  readonly checkpoint: string
}

const HEADER = 'c2sp.org/tlog-proof@v1'
/** Levels of the largest tree. */
const MAX_HASHES = 64
const MAX_LENGTH = 2_000_000

/** The text of a proof. */
export function formatProof({ index, hashes, checkpoint }: ProofText): string {
  const lines = hashes.map((hash) => `${Buffer.from(hash).toString('base64')}\n`)
  return `${HEADER}\nindex ${index}\n${lines.join('')}\n${checkpoint}`
}

/** Reads a proof, or says what is wrong with it. Extra data of an application, which nobody signed, is passed over. */
export function parseProof(text: string): ProofText | string {
  if (text.length > MAX_LENGTH) return `must not be longer than ${MAX_LENGTH}`
  const end = text.indexOf('\n\n')
  if (end < 0) return 'must have a checkpoint behind an empty line'
  const [header, ...lines] = text.slice(0, end).split('\n')
  if (header !== HEADER) return `must begin with '${HEADER}'`
  if (lines[0]?.startsWith('extra ') && parseBase64(lines.shift()!.slice('extra '.length)) === undefined) {
    return 'must have its extra data in base64'
  }
  const line = lines.shift() ?? ''
  const index = line.startsWith('index ') ? parseSize(line.slice('index '.length)) : undefined
  if (index === undefined) return "must have a line 'index ' with digits, without leading zeros"
  if (lines.length > MAX_HASHES) return `must not have more than ${MAX_HASHES} hashes`
  const hashes = lines.map(parseBase64)
  if (!hashes.every((hash) => hash?.length === HASH)) return 'must have its hashes as 32 bytes in base64, a line each'
  return { index, hashes: hashes as Buffer[], checkpoint: text.slice(end + 2) }
}
