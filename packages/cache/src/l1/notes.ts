import { LinkedList, type Linked } from './linked-list.ts'
import type { Scope } from './scope.ts'

/** Bounds what a flood of invalidations of unknown tags takes. */
const MAX_NOTES = 10_000

interface Note extends Linked<Note> {
  readonly scope: Scope
  readonly tagId: number
  atMs: number
}

/**
 * Invalidations that a running read or load may not have seen, oldest first. Each holds its tag for as long as a
 * load may run; what is forgotten before raises its scope's floor.
 */
export class Notes {
  readonly #list = new LinkedList<Note>()
  readonly #byTag = new Map<number, Note>()
  readonly #keepMs: number

  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  /** True when there was none of this tag: it is to be held. */
  add(scope: Scope, tagId: number, nowMs: number): boolean {
    const known = this.#byTag.get(tagId)
    if (known !== undefined) {
      this.#list.remove(known)
      this.#list.push(known)
      known.atMs = nowMs
      return false
    }
    const note: Note = { scope, tagId, atMs: nowMs, older: undefined, newer: undefined }
    this.#byTag.set(tagId, note)
    this.#list.push(note)
    return true
  }

  /** Forgets what is too old or too much. */
  age(nowMs: number): void {
    for (;;) {
      const { oldest } = this.#list
      if (oldest === undefined) return
      if (this.#list.size <= MAX_NOTES && nowMs - oldest.atMs <= this.#keepMs) return
      this.#list.remove(oldest)
      this.#byTag.delete(oldest.tagId)
      oldest.scope.release(oldest.tagId)
    }
  }

  clear(): void {
    this.#byTag.clear()
    this.#list.clear()
  }
}
