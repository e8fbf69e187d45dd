/** What expires when, earliest first: a binary heap of keys. */
export interface ExpiryHeap {
  readonly size: number
  push(atMs: number, key: string): void
  /** Takes the earliest entry that is due. */
  popDue(nowMs: number): string | undefined
  clear(): void
}

export function createExpiryHeap(): ExpiryHeap {
  const times: number[] = []
  const keys: string[] = []

  function swap(a: number, b: number): void {
    ;[times[a], times[b]] = [times[b]!, times[a]!]
    ;[keys[a], keys[b]] = [keys[b]!, keys[a]!]
  }

  function up(from: number): void {
    for (let child = from; child > 0;) {
      const parent = (child - 1) >> 1
      if (times[parent]! <= times[child]!) return
      swap(parent, child)
      child = parent
    }
  }

  function down(): void {
    for (let parent = 0; ;) {
      let least = parent
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < times.length && times[child]! < times[least]!) least = child
      }
      if (least === parent) return
      swap(parent, least)
      parent = least
    }
  }

  return {
    get size() {
      return times.length
    },
    push(atMs, key) {
      times.push(atMs)
      keys.push(key)
      up(times.length - 1)
    },
    popDue(nowMs) {
      if (times.length === 0 || times[0]! > nowMs) return undefined
      swap(0, times.length - 1)
      times.pop()
      const key = keys.pop()
      down()
      return key
    },
    clear() {
      times.length = 0
      keys.length = 0
    },
  }
}
