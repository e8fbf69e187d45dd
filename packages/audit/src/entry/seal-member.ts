import { AuditError } from '../error.ts'
import { quoted } from './json-text.ts'

const NAME = Buffer.from(',"seal":{"log":"')
const REST = /^,"seal":\{"log":"(?:[^"\\]|\\.)+","index":\d+,"leaf":"[A-Za-z0-9+/]{43}="\}\}$/

/** An entry's place in a log. */
interface Seal {
  readonly log: string
  readonly index: number
  readonly leaf: Uint8Array
}

/** What stands in place of the last brace of an entry's document. */
export function sealMember({ log, index, leaf }: Seal): string {
  const hash = Buffer.from(leaf.buffer, leaf.byteOffset, leaf.byteLength).toString('base64')
  return `,"seal":{"log":${quoted(log)},"index":${index},"leaf":"${hash}"}}`
}

/** The document of an entry with its place in the log as the last member, for readers of JSON. Without it, it is what was hashed. */
export function withSeal(bytes: Uint8Array, seal: Seal): Uint8Array {
  const member = sealMember(seal)
  const size = Buffer.byteLength(member)
  const sealed = Buffer.allocUnsafe(bytes.length - 1 + size)
  sealed.set(bytes.subarray(0, -1))
  sealed.write(member, bytes.length - 1)
  return sealed
}

/** What was hashed. @throws AuditError INPUT_INVALID if no seal is at its end */
export function withoutSeal(document: Uint8Array): Uint8Array {
  const buffer = Buffer.from(document.buffer, document.byteOffset, document.byteLength)
  // A quote inside of a text is escaped, so the last place is the member itself.
  const at = buffer.lastIndexOf(NAME)
  if (at === -1 || !REST.test(buffer.toString('utf8', at))) {
    throw new AuditError('INPUT_INVALID', 'withoutSeal: the document does not end with a seal')
  }
  const bytes = Buffer.alloc(at + 1)
  bytes.set(buffer.subarray(0, at))
  bytes[at] = 0x7d
  return bytes
}
