/*
 * The text of a checkpoint (C2SP tlog-checkpoint): origin, size and root of a tree, a line each. Other lines may follow.
 */
import { HASH } from '../tree/hashing.ts'
import { parseBase64 } from './base64.ts'

/** What a log says of its tree. */
export interface CheckpointText {
  /** Which log it is. */
  readonly origin: string
  readonly size: number
  readonly root: Uint8Array
  /** Lines that mean nothing here. */
  readonly extensions: readonly string[]
}

/** The text that is signed. */
export function formatCheckpoint({ origin, size, root }: Pick<CheckpointText, 'origin' | 'size' | 'root'>): string {
  return `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`
}

/** What such a text says, or what is wrong with it. */
export function parseCheckpoint(text: string): CheckpointText | string {
  const [origin = '', digits = '', encoded = '', ...more] = text.split('\n')
  if (more.pop() !== '') return 'must have three lines at least, and end with a line break'
  if (origin === '') return 'must have an origin in its first line'
  const size = parseSize(digits)
  if (size === undefined) return 'must have a size in its second line: digits, without leading zeros'
  const root = parseBase64(encoded)
  if (root?.length !== HASH) return 'must have a root hash in its third line: 32 bytes in base64'
  if (more.includes('')) return 'must not have empty lines'
  return { origin, size, root, extensions: more }
}

/** A number of entries as digits; undefined if another text says the same, or it is too large to count. */
export function parseSize(digits: string): number | undefined {
  const size = Number(digits)
  return String(size) === digits && Number.isSafeInteger(size) && size >= 0 ? size : undefined
}
