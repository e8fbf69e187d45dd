import type { Seen } from './seen.ts'

/** Of so many entries proofs are given for each control. */
const SAMPLES = 3

/** Entries that were counted together. */
export interface Tally {
  readonly count: number
  readonly failures: number
  /** Instants of the oldest and the newest. */
  readonly first: string | null
  readonly last: string | null
  /**
   * Those with the smallest leaf hashes, in the log's order: nobody who asks for a report chooses them, and it is the same
   * ones each time.
   */
  readonly samples: readonly Seen[]
}

/** Counts entries as they come. */
export interface Counter extends Tally {
  add(entry: Seen): void
}

export function createCounter(): Counter {
  let count = 0
  let failures = 0
  let first: string | null = null
  let last: string | null = null
  let smallest: Seen[] = []
  const order = new Map<Seen, number>()

  return {
    get count() {
      return count
    },
    get failures() {
      return failures
    },
    get first() {
      return first
    },
    get last() {
      return last
    },
    get samples() {
      return smallest.toSorted((a, b) => order.get(a)! - order.get(b)!)
    },
    add(entry) {
      count += 1
      if (entry.outcome === 'failure') failures += 1
      if (first === null || entry.at < first) first = entry.at
      if (last === null || entry.at > last) last = entry.at
      const [largest] = smallest.slice(-1)
      if (smallest.length === SAMPLES && entry.leaf.compare(largest!.leaf) >= 0) return
      order.set(entry, count)
      smallest = [...smallest, entry].sort((a, b) => a.leaf.compare(b.leaf))
      for (const dropped of smallest.splice(SAMPLES)) order.delete(dropped)
    },
  }
}
