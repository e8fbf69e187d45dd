/** What a list links. An item is in one list at a time. */
export interface Linked<T> {
  older: T | undefined
  newer: T | undefined
}

/** Items in the order they came, any of which can leave: nothing is allocated. */
export class LinkedList<T extends Linked<T>> {
  oldest: T | undefined
  newest: T | undefined
  size = 0

  push(item: T): void {
    item.older = this.newest
    item.newer = undefined
    if (this.newest === undefined) this.oldest = item
    else this.newest.newer = item
    this.newest = item
    this.size++
  }

  remove(item: T): void {
    const { older, newer } = item
    if (older === undefined) this.oldest = newer
    else older.newer = newer
    if (newer === undefined) this.newest = older
    else newer.older = older
    item.older = undefined
    item.newer = undefined
    this.size--
  }

  clear(): void {
    this.oldest = undefined
    this.newest = undefined
    this.size = 0
  }

  /** From the oldest on. The one that was just met may leave. */
  *[Symbol.iterator](): Iterator<T> {
    for (let item = this.oldest; item !== undefined;) {
      const { newer } = item
      yield item
      item = newer
    }
  }
}
