/**
 * Sequences of keys as caches meet them, made here from a seed: published ones may not be kept in this repository, or
 * are too large for it.
 */
import { seededRandom } from '@keelson/kernel/testing'

/** What is asked for, in order. */
export interface Trace {
  readonly name: string
  readonly keys: readonly number[]
  /** Room, in entries. */
  readonly room: number
}

const LENGTH = 300_000
const ROOM = 1_000
/** Keys that are never asked for twice. */
const ONCE = 10_000_000

/** Each of another kind. */
export function traces(): Trace[] {
  const random = seededRandom(42)
  const popular = zipf(20_000, 0.9, random)
  const recent = zipf(3_000, 0.8, random)
  let once = ONCE
  let newest = 0
  return [
    trace('zipf', () => popular()),
    trace('zipf, what is popular moves on', (i) => popular() + 20 * Math.floor(i / 1_000)),
    trace('zipf, and a scan at times', (i) => (Math.floor(i / 3_000) % 5 === 4 ? once++ : popular())),
    trace('zipf, every second key never again', (i) => (i % 2 === 0 ? once++ : popular())),
    trace('a loop that is larger than the room', (i) => i % (2 * ROOM)),
    trace(
      'two pools, one of a hundredth',
      (i) => Math.floor(random() * (i % 2 === 0 ? 100 : 10_000)) + (i % 2) * 1_000,
    ),
    trace('once and soon again', (i) => (i % 3 === 0 ? once++ : once - 1 - Math.floor(random() * 100))),
    trace('the newest is the most popular', () => {
      if (random() < 0.2) newest++
      return Math.max(0, newest - recent())
    }),
  ]
}

function trace(name: string, keyAt: (i: number) => number): Trace {
  return { name, keys: Array.from({ length: LENGTH }, (_, i) => keyAt(i)), room: ROOM }
}

/** Numbers below `count`; the n-th is as likely as 1 / n ** skew. */
function zipf(count: number, skew: number, random: () => number): () => number {
  const sums = new Float64Array(count)
  let sum = 0
  for (let i = 0; i < count; i++) sums[i] = sum += 1 / (i + 1) ** skew
  return () => {
    const at = random() * sum
    let low = 0
    for (let high = count - 1; low < high;) {
      const middle = (low + high) >> 1
      if (sums[middle]! < at) low = middle + 1
      else high = middle
    }
    return low
  }
}
