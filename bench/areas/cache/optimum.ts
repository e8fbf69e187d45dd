/** Hits of who knows the future: makes room by the key that is asked for again last (Belady). */
export function optimalHits(keys: readonly number[], room: number): number {
  const nextAt = new Array<number>(keys.length)
  const seen = new Map<number, number>()
  for (let i = keys.length - 1; i >= 0; i--) {
    nextAt[i] = seen.get(keys[i]!) ?? Infinity
    seen.set(keys[i]!, i)
  }
  const kept = new Map<number, number>()
  const latest = createMaxHeap()
  let hits = 0
  for (const [i, key] of keys.entries()) {
    if (kept.has(key)) hits++
    kept.set(key, nextAt[i]!)
    latest.push(nextAt[i]!, key)
    while (kept.size > room) {
      const [at, last] = latest.pop()
      if (kept.get(last) === at) kept.delete(last) // else it was asked for since
    }
  }
  return hits
}

function createMaxHeap() {
  const items: [at: number, key: number][] = []
  const swap = (a: number, b: number): void => {
    ;[items[a], items[b]] = [items[b]!, items[a]!]
  }
  return {
    push(at: number, key: number): void {
      items.push([at, key])
      for (let child = items.length - 1; child > 0;) {
        const parent = (child - 1) >> 1
        if (items[parent]![0] >= items[child]![0]) return
        swap(parent, child)
        child = parent
      }
    },
    pop(): [at: number, key: number] {
      swap(0, items.length - 1)
      const top = items.pop()!
      for (let parent = 0; ;) {
        let most = parent
        for (const child of [2 * parent + 1, 2 * parent + 2]) {
          if (child < items.length && items[child]![0] > items[most]![0]) most = child
        }
        if (most === parent) return top
        swap(parent, most)
        parent = most
      }
    },
  }
}
