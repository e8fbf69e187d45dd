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

/** What a store knows when something is filled; times of its clock. */
export interface FillState {
  readonly epoch: string
  readonly nowMs: number
  readonly maxLoadMs: number
  /** Of the valid entry that is there, 0 of none. */
  readonly storedStamp: number
}

/** Whether a lease is still good for a fill, its tags apart. */
export function mayFill(lease: { epoch: string; stamp: number; atMs: number }, state: FillState): boolean {
  if (lease.epoch !== state.epoch) return false
  // What was invalidated so long ago may be forgotten.
  if (state.nowMs - lease.atMs > state.maxLoadMs) return false
  return state.storedStamp <= lease.stamp
}
