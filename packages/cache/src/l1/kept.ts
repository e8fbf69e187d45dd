import { keyOf, SCOPE_TAG } from '../tag.ts'
import type { KeyPart } from '../key.ts'
import type { L1Entry, NewL1Entry } from './l1.ts'
import { keyAt, type Branch } from './branch.ts'
import type { Segment } from './policy.ts'
import type { TagNode } from './tag-node.ts'

/** An entry with what L1 knows of it. Each field counts 8 bytes per entry. */
export class Kept implements L1Entry {
  /** The scope's generation at which it was last found valid. */
  seen: number
  /** Hits since the policy last looked, at most 15. */
  uses = 0
  readonly value: unknown
  endsMs: number
  readonly goneMs: number
  /** Those that are shared: neither the key's nor the scope's. */
  readonly nodes: readonly TagNode[]
  readonly stamp: string
  readonly fill: string
  readonly loadMs: number
  readonly storedMs: number
  readonly bytes: number
  readonly home: Branch
  /** The last part of its key. */
  readonly part: KeyPart
  segment: Segment | undefined
  older: Kept | undefined
  newer: Kept | undefined

  constructor(entry: NewL1Entry, seen: number, nodes: readonly TagNode[], home: Branch, part: KeyPart) {
    this.seen = seen
    this.value = entry.value
    // Whole numbers are part of the object, others are objects of their own. Early rather than late.
    this.endsMs = Math.floor(entry.endsMs)
    this.goneMs = Math.floor(entry.goneMs)
    this.nodes = nodes
    this.stamp = entry.stamp
    this.fill = entry.fill
    this.loadMs = Math.ceil(entry.loadMs)
    this.storedMs = Math.floor(entry.storedMs)
    this.bytes = entry.bytes
    this.home = home
    this.part = part
    this.segment = undefined
    this.older = undefined
    this.newer = undefined
  }

  tags(): string[] {
    const { home, part, nodes } = this
    const key = home === home.scope.texts ? (part as string) : keyAt(home, part)
    return [keyOf(key), SCOPE_TAG, ...nodes.map(({ tag }) => tag)]
  }
}
