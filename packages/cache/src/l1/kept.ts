import { keyOf, SCOPE_TAG } from '../tag.ts'
import type { KeyPart } from '../key.ts'
import type { L1Entry, NewL1Entry } from './l1.ts'
import { keyAt, type Branch } from './branch.ts'
import { after, idAt } from './tag-table.ts'

/** An entry with what L1 knows of it. Each field counts 8 bytes per entry. */
export class Kept implements L1Entry {
  /** The scope's generation at which it was last found valid. */
  seen: number
  /** Of the policy: its segment and its hits in one. */
  standing = 0
  readonly value: unknown
  endsMs: number
  readonly goneMs: number
  /**
   * The numbers of its shared tags, neither the key's nor the scope's: packed. Once it has left, the tags themselves:
   * numbers are used again.
   */
  #tags: string | readonly string[]
  readonly stamp: string
  readonly fill: string
  readonly loadMs: number
  readonly storedMs: number
  readonly bytes: number
  readonly home: Branch
  /** The last part of its key. */
  readonly part: KeyPart
  older: Kept | undefined
  newer: Kept | undefined

  constructor(
    entry: Omit<NewL1Entry, 'stamp'>,
    stamp: string,
    seen: number,
    tagIds: string,
    home: Branch,
    part: KeyPart,
  ) {
    this.seen = seen
    this.value = entry.value
    // Whole numbers are part of the object, others are objects of their own. Early rather than late.
    this.endsMs = Math.floor(entry.endsMs)
    this.goneMs = Math.floor(entry.goneMs)
    this.#tags = tagIds
    this.stamp = stamp
    this.fill = entry.fill
    this.loadMs = Math.ceil(entry.loadMs)
    this.storedMs = Math.floor(entry.storedMs)
    this.bytes = entry.bytes
    this.home = home
    this.part = part
    this.older = undefined
    this.newer = undefined
  }

  /** '' once it has left. */
  get tagIds(): string {
    return typeof this.#tags === 'string' ? this.#tags : ''
  }

  /** Turns stale. False when nothing of it may be served any more: it has no grace. */
  soften(): boolean {
    const hasGrace = this.goneMs > this.endsMs
    if (hasGrace) this.endsMs = 0
    return hasGrace
  }

  tags(): string[] {
    return [keyOf(keyAt(this.home, this.part)), SCOPE_TAG, ...this.#sharedTags()]
  }

  /** Points at its tags no more. */
  leave(): void {
    this.#tags = this.#sharedTags()
  }

  #sharedTags(): readonly string[] {
    const ids = this.#tags
    if (typeof ids !== 'string') return ids
    const tags: string[] = []
    for (let at = 0; at < ids.length; at = after(ids, at)) tags.push(this.home.root.tags.tag(idAt(ids, at)))
    return tags
  }
}
