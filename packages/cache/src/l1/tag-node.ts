/**
 * When a tag was last invalidated, shared by all entries that have it. Who points at it counts in `refs`, a note of its
 * invalidation too: without any it is forgotten.
 */
export class TagNode {
  readonly tag: string
  /** The generation from which entries that were valid before are invalid; 0: never. */
  bumped = 0
  /** The same for stale. */
  softened = 0
  refs = 0

  constructor(tag: string) {
    this.tag = tag
  }
}
