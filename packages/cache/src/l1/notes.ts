import { LinkedList, type Linked } from './linked-list.ts'
import type { Scope } from './scope.ts'
import type { TagNode } from './tag-node.ts'

/** Bounds what a flood of invalidations of unknown tags takes. */
const MAX_NOTES = 10_000

interface Note extends Linked<Note> {
  readonly scope: Scope
  readonly node: TagNode
  atMs: number
}

/**
 * Invalidations that a running read or load may not have seen, oldest first. Each keeps its tag's node for as long as a
 * load may run; what is forgotten before raises its scope's floor.
 */
export class Notes {
  readonly #list = new LinkedList<Note>()
  readonly #byNode = new Map<TagNode, Note>()
  readonly #keepMs: number

  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  add(scope: Scope, node: TagNode, nowMs: number): void {
    const known = this.#byNode.get(node)
    if (known !== undefined) {
      this.#list.remove(known)
      this.#list.push(known)
      known.atMs = nowMs
      return
    }
    const note: Note = { scope, node, atMs: nowMs, older: undefined, newer: undefined }
    node.refs++
    this.#byNode.set(node, note)
    this.#list.push(note)
  }

  /** Forgets what is too old or too much. */
  age(nowMs: number): void {
    for (;;) {
      const { oldest } = this.#list
      if (oldest === undefined) return
      if (this.#list.size <= MAX_NOTES && nowMs - oldest.atMs <= this.#keepMs) return
      this.#list.remove(oldest)
      this.#byNode.delete(oldest.node)
      oldest.scope.release(oldest.node)
    }
  }

  clear(): void {
    this.#byNode.clear()
    this.#list.clear()
  }
}
