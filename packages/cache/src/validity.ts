/** What is known of invalidations: moments of one clock that only they move. */
export interface Invalidations {
  /** What was invalidated before is no longer known. */
  readonly floor: number
  /** The last of this tag, 0 of none. */
  hard(tag: string): number
  /** The last that let entries turn stale, 0 of none. */
  soft(tag: string): number
}

/** What may be served of an entry as far as its tags go. */
export type Validity = 'valid' | 'stale' | 'invalid'

/**
 * The rule. `stamp` is a moment before the load of the entry began: what was invalidated later may be in it as it was
 * before. Equal is valid: the load began after that invalidation.
 */
export function validityOf(stamp: number, tags: readonly string[], known: Invalidations): Validity {
  if (stamp < known.floor) return 'invalid'
  let validity: Validity = 'valid'
  for (const tag of tags) {
    if (known.hard(tag) > stamp) return 'invalid'
    if (known.soft(tag) > stamp) validity = 'stale'
  }
  return validity
}
