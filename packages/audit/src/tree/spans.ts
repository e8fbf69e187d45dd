/*
 * Which parts of a tree a proof is made of (RFC 6962, 2.1): the same for who proves and who checks.
 */

/** Leaves of a tree: `from`, and `to` not. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** What stands beside the way from a leaf up to the root: PATH(index, D[size]). For 0 <= index < size. */
export function inclusionSpans(index: number, size: number): Span[] {
  const spans: Span[] = []
  let [from, to] = [0, size]
  while (to - from > 1) {
    const middle = from + leftSize(to - from)
    if (index < middle) {
      spans.push({ from: middle, to })
      to = middle
    } else {
      spans.push({ from, to: middle })
      from = middle
    }
  }
  return spans.toReversed()
}

/**
 * What leads from a tree of `oldSize` to one of `newSize`: PROOF(oldSize, D[newSize]). For 0 < oldSize <= newSize. The
 * first one is a part of both; it is not there when it is the whole old tree.
 */
export function consistencySpans(oldSize: number, newSize: number): Span[] {
  const spans: Span[] = []
  let [from, to] = [0, newSize]
  while (to !== oldSize) {
    const middle = from + leftSize(to - from)
    if (oldSize <= middle) {
      spans.push({ from: middle, to })
      to = middle
    } else {
      spans.push({ from, to: middle })
      from = middle
    }
  }
  if (from > 0) spans.push({ from, to })
  return spans.toReversed()
}

/** The largest power of two below a size. */
function leftSize(size: number): number {
  let left = 1
  while (left * 2 < size) left *= 2
  return left
}
