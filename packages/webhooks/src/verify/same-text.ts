import { timingSafeEqual } from 'node:crypto'

/** Compares a signature with ours in constant time. As text: of base64 and hex more than one text has the same bytes. */
export function sameText(given: string, ours: string): boolean {
  const a = Buffer.from(given)
  const b = Buffer.from(ours)
  return a.length === b.length && timingSafeEqual(a, b)
}
