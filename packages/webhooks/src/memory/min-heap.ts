/** What comes first is taken first. */
export interface MinHeap<T> {
  peek(): T | undefined
  push(item: T): void
  pop(): void
}

/** A binary heap. */
export function createMinHeap<T>(before: (a: T, b: T) => boolean): MinHeap<T> {
  const items: T[] = []

  /** Moves those above down until `item` has its place. */
  function rise(item: T): void {
    let i = items.length - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!before(item, items[parent]!)) break
      items[i] = items[parent]!
      i = parent
    }
    items[i] = item
  }

  /** From the top: moves those below up until `item` has its place. */
  function sink(item: T): void {
    const { length } = items
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= length) break
      if (child + 1 < length && before(items[child + 1]!, items[child]!)) child++
      if (!before(items[child]!, item)) break
      items[i] = items[child]!
      i = child
    }
    items[i] = item
  }

  return {
    peek: () => items[0],
    push(item) {
      items.push(item)
      rise(item)
    },
    pop() {
      const last = items.pop()
      if (items.length > 0) sink(last!)
    },
  }
}
