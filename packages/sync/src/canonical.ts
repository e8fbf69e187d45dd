import type { Json } from './json.ts'

/** One text for one value: names sorted by UTF-16 unit, no blanks, numbers as ECMAScript prints them (as RFC 8785). */
export function canonical(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${(value as readonly Json[]).map(canonical).join(',')}]`
  const members = value as { readonly [name: string]: Json }
  const names = Object.keys(members).toSorted()
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(members[name]!)}`).join(',')}}`
}

/** The order of two texts by their bytes in UTF-8, which is that of their code points: below 0, 0 or above. */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const [left, right] = [a.charCodeAt(i), b.charCodeAt(i)]
    if (left !== right) return rank(left) - rank(right)
  }
  return a.length - b.length
}

/** Surrogates, D800 to DFFF, stand for code points above all others: U+E000 to U+FFFF go below them. */
const rank = (unit: number): number => (unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit)
