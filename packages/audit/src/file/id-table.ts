/** Slots are filled up to this share, and then become more by half. */
const FULL_AT = 0.8
const GROWTH = 1.5

/**
 * Which entries of a file may have an id: 4 bytes of hash each, and a slot of 4 bytes at most 1.9 times. What it answers
 * must be looked up: one in 4 thousand million others has the same hash.
 */
export interface IdTable {
  readonly count: number
  /** The next ordinal has this id. */
  add(id: Uint8Array, at: number): void
  /** The next ordinal is lost. */
  skip(): void
  /** Only those below `count` are left. */
  cut(count: number): void
  /** The newest first. */
  candidates(id: Uint8Array, at: number): number[]
  /** No more will come: gives back what was taken ahead. */
  trim(): void
}

export function createIdTable(): IdTable {
  let hashes = new Uint32Array(64)
  // An ordinal and one: 0 is free.
  let slots = new Uint32Array(96)
  let count = 0
  // Of the most significant half of the ids' milliseconds: most ids are asked for in one file only.
  let first = 0xffff_ffff
  let last = 0

  function put(ordinal: number): void {
    let slot = slotOf(hashes[ordinal]!, slots.length)
    while (slots[slot] !== 0) slot = slot + 1 === slots.length ? 0 : slot + 1
    slots[slot] = ordinal + 1
  }
  function push(hash: number): void {
    if (count === hashes.length) {
      const more = new Uint32Array(Math.ceil(count * GROWTH))
      more.set(hashes)
      hashes = more
    }
    hashes[count] = hash
    count++
    if (count > slots.length * FULL_AT) rebuild(Math.ceil(slots.length * GROWTH))
    else put(count - 1)
  }
  function rebuild(size: number): void {
    slots = new Uint32Array(size)
    for (let ordinal = 0; ordinal < count; ordinal++) put(ordinal)
  }

  return {
    get count() {
      return count
    },
    add(id, at) {
      const begins = word(id, at)
      if (begins < first) first = begins
      if (begins > last) last = begins
      push(hashOf(id, at))
    },
    skip() {
      push(0)
    },
    cut(kept) {
      count = kept
      rebuild(slots.length)
    },
    candidates(id, at) {
      const begins = word(id, at)
      if (begins < first || begins > last) return []
      const hash = hashOf(id, at)
      const found: number[] = []
      let slot = slotOf(hash, slots.length)
      for (let held = slots[slot]!; held !== 0; held = slots[slot]!) {
        if (hashes[held - 1] === hash) found.push(held - 1)
        slot = slot + 1 === slots.length ? 0 : slot + 1
      }
      return found.sort((a, b) => b - a)
    },
    trim() {
      hashes = hashes.slice(0, count)
      rebuild(Math.ceil((count + 1) / FULL_AT))
    },
  }
}

function word(id: Uint8Array, at: number): number {
  return ((id[at]! << 24) | (id[at + 1]! << 16) | (id[at + 2]! << 8) | id[at + 3]!) >>> 0
}

/** Ids of one process and millisecond differ in few bits; all of them count. */
function hashOf(id: Uint8Array, at: number): number {
  let hash = 0
  for (let i = 0; i < 16; i += 4) {
    hash = Math.imul(hash ^ word(id, at + i), 0x9e37_79b1)
    hash ^= hash >>> 15
  }
  hash = Math.imul(hash, 0x85eb_ca6b)
  return (hash ^ (hash >>> 13)) >>> 0
}

/** Spreads the hash over any number of slots. */
function slotOf(hash: number, slots: number): number {
  return Math.floor((hash / 0x1_0000_0000) * slots)
}
