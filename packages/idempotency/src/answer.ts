import { KernelError } from '@keelson/kernel'

/** The replayHint of an effect, kept with the answer of its run. */
export interface KeptHint {
  readonly kind: string
  readonly hint: unknown
}

/** What a store keeps of a run that has ended. */
export interface KeptAnswer {
  readonly answer: Uint8Array
  readonly hints: readonly KeptHint[]
}

/** Begins what has hints; also an answer that begins so by itself, so that it is not mistaken. */
const MAGIC = Buffer.from('\u0000\u00ffkeelson:hints\u0000', 'latin1')
const HEAD_BYTES = MAGIC.length + 4
const NONE: readonly KeptHint[] = []

/** As bytes for a store. Without hints these are the answer's own. */
export function packAnswer(answer: Uint8Array, hints: readonly KeptHint[]): Uint8Array {
  if (hints.length === 0 && !hasMagic(answer)) return answer
  const json = Buffer.from(JSON.stringify(hints))
  const head = Buffer.allocUnsafe(HEAD_BYTES)
  head.set(MAGIC)
  head.writeUInt32BE(json.length, MAGIC.length)
  return Buffer.concat([head, json, answer])
}

/** @throws KernelError ANSWER_CORRUPT */
export function unpackAnswer(stored: Uint8Array): KeptAnswer {
  if (!hasMagic(stored)) return { answer: stored, hints: NONE }
  try {
    const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength)
    const end = HEAD_BYTES + bytes.readUInt32BE(MAGIC.length)
    if (end > bytes.length) throw new RangeError('it ends early')
    return { answer: stored.subarray(end), hints: JSON.parse(bytes.toString('utf8', HEAD_BYTES, end)) as KeptHint[] }
  } catch (cause) {
    throw new KernelError('ANSWER_CORRUPT', `stored hints cannot be read: ${(cause as Error).message}`, { cause })
  }
}

function hasMagic(bytes: Uint8Array): boolean {
  return bytes[0] === MAGIC[0] && MAGIC.equals(bytes.subarray(0, MAGIC.length))
}
