/*
 * Bundles of entries (C2SP tlog-tiles): each behind its length, two bytes, big-endian.
 */

/** The bytes of a bundle. */
export function formatBundle(entries: readonly Uint8Array[]): Buffer {
  const bundle = Buffer.allocUnsafeSlow(entries.reduce((sum, { length }) => sum + 2 + length, 0))
  let at = 0
  for (const bytes of entries) {
    at = bundle.writeUInt16BE(bytes.length, at)
    bundle.set(bytes, at)
    at += bytes.length
  }
  return bundle
}

/** Its entries as far as they can be read, and how many bytes are left over behind them. */
export function parseBundle(bundle: Uint8Array): { readonly entries: Uint8Array[]; readonly rest: number } {
  const entries: Uint8Array[] = []
  let at = 0
  while (at + 2 <= bundle.length) {
    const end = at + 2 + bundle[at]! * 256 + bundle[at + 1]!
    if (end > bundle.length) break
    entries.push(bundle.subarray(at + 2, end))
    at = end
  }
  return { entries, rest: bundle.length - at }
}
