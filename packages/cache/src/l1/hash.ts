import type { KeyPart } from '../key.ts'

/** Mixes `part` into a 32-bit hash: FNV-1a over its text, then spread over all bits. */
export function hashPart(seed: number, part: KeyPart): number {
  const text = typeof part === 'string' ? part : String(part)
  let hash = seed ^ 0x811c_9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35)
  return hash ^ (hash >>> 16)
}
