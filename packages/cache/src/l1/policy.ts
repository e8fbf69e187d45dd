import { FrequencySketch } from './frequency-sketch.ts'
import { hashPart } from './hash.ts'
import type { Kept } from './kept.ts'
import type { L1Limits } from './l1.ts'
import { LinkedList } from './linked-list.ts'

/** Of all room: where each entry begins, however rarely it was seen. Less loses to LRU where the newest is wanted. */
const WINDOW_SHARE = 0.2
/** Of the rest: for what was used again. */
const PROTECTED_SHARE = 0.8

/** Of `standing`: hits in its lowest bits, above them the segment. No more hits are counted. */
const MAX_USES = 15
const USE_BITS = 4

/** Counts a hit: nothing else is done for it until room is needed. */
export function use(entry: Kept): void {
  if ((entry.standing & MAX_USES) < MAX_USES) entry.standing++
}

function usesOf(entry: Kept): number {
  return entry.standing & MAX_USES
}

/** Entries in the order they came, within a share of the limits. */
class Segment extends LinkedList<Kept> {
  bytes = 0
  readonly #standing: number
  readonly #maxEntries: number
  readonly #maxBytes: number

  /** Of `number` 1 and up: 0 is no segment. */
  constructor(number: number, maxEntries: number, maxBytes: number) {
    super()
    this.#standing = number << USE_BITS
    this.#maxEntries = maxEntries
    this.#maxBytes = maxBytes
  }

  get isOver(): boolean {
    return this.size > this.#maxEntries || this.bytes > this.#maxBytes
  }

  override clear(): void {
    super.clear()
    this.bytes = 0
  }

  override push(entry: Kept): void {
    super.push(entry)
    entry.standing = this.#standing | usesOf(entry)
    this.bytes += entry.bytes
  }

  override remove(entry: Kept): void {
    super.remove(entry)
    entry.standing = usesOf(entry)
    this.bytes -= entry.bytes
  }
}

/**
 * Which entries stay: W-TinyLFU. What is new goes through a window; whoever leaves it takes the place of the oldest
 * entry only if it was seen more often. A hit only counts in its entry: order and frequencies are mended when room is
 * needed, by giving what was used another turn.
 */
export class Policy {
  readonly #limits: L1Limits
  readonly #window: Segment
  readonly #probation: Segment
  readonly #protected: Segment
  readonly #segments: readonly Segment[]
  readonly #sketch: FrequencySketch
  readonly #evict: (entry: Kept) => void
  readonly #isGone: (entry: Kept) => boolean

  constructor(limits: L1Limits, o: { evict(entry: Kept): void; isGone(entry: Kept): boolean }) {
    const { maxEntries, maxBytes } = limits
    const windowEntries = Math.max(1, Math.round(maxEntries * WINDOW_SHARE))
    const mainEntries = maxEntries - windowEntries
    const mainBytes = maxBytes * (1 - WINDOW_SHARE)
    this.#limits = limits
    this.#window = new Segment(1, windowEntries, maxBytes * WINDOW_SHARE)
    this.#probation = new Segment(2, mainEntries, mainBytes)
    this.#protected = new Segment(3, Math.floor(mainEntries * PROTECTED_SHARE), mainBytes * PROTECTED_SHARE)
    this.#segments = [this.#window, this.#probation, this.#protected]
    this.#sketch = new FrequencySketch(maxEntries)
    this.#evict = o.evict
    this.#isGone = o.isGone
  }

  get entries(): number {
    return this.#window.size + this.#probation.size + this.#protected.size
  }

  get bytes(): number {
    return this.#window.bytes + this.#probation.bytes + this.#protected.bytes
  }

  /** Takes it in, for `replaced` if that is given, and evicts what is too much: perhaps this very entry. */
  add(entry: Kept, replaced?: Kept): void {
    if (replaced === undefined) {
      this.#sketch.add(hashOf(entry), 1)
      this.#window.push(entry)
    } else {
      const segment = this.#segmentOf(replaced)!
      entry.standing = usesOf(replaced)
      segment.remove(replaced)
      segment.push(entry)
    }
    this.#makeRoom()
  }

  remove(entry: Kept): void {
    this.#segmentOf(entry)?.remove(entry)
  }

  clear(): void {
    for (const segment of this.#segments) segment.clear()
  }

  /** Each of them may be removed as it is met. */
  *[Symbol.iterator](): Iterator<Kept> {
    for (const segment of this.#segments) yield* segment
  }

  #makeRoom(): void {
    for (let candidate = this.#leaveWindow(); candidate !== undefined; candidate = this.#leaveWindow()) {
      while (this.#isOver && this.#segmentOf(candidate) !== undefined)
        this.#drop(this.#loser(candidate, this.#victim()))
    }
    // An entry may have grown in its place.
    while (this.#isOver) this.#drop(this.#victim())
  }

  get #isOver(): boolean {
    return this.entries > this.#limits.maxEntries || this.bytes > this.#limits.maxBytes
  }

  #drop(entry: Kept): void {
    this.remove(entry)
    this.#evict(entry)
  }

  /** The one that has been in the window for too long, now on probation. */
  #leaveWindow(): Kept | undefined {
    while (this.#window.isOver) {
      const oldest = this.#window.oldest!
      const next = this.#wasUsed(oldest) ? this.#window : this.#probation
      this.#move(oldest, next)
      if (next === this.#probation) return oldest
    }
    return undefined
  }

  /** The oldest of those that were not used lately, on probation if there is any. */
  #victim(): Kept {
    for (;;) {
      const oldest = this.#probation.oldest
      if (oldest === undefined) return this.#unused(this.#protected) ?? this.#window.oldest!
      if (!this.#wasUsed(oldest)) return oldest
      this.#move(oldest, this.#protected)
      if (this.#protected.isOver) this.#move(this.#unused(this.#protected)!, this.#probation)
    }
  }

  #unused(segment: Segment): Kept | undefined {
    while (segment.oldest !== undefined && this.#wasUsed(segment.oldest)) this.#move(segment.oldest, segment)
    return segment.oldest
  }

  #loser(candidate: Kept, victim: Kept): Kept {
    if (this.#isGone(victim)) return victim
    if (this.#isGone(candidate)) return candidate
    if (this.#sketch.count(hashOf(candidate)) > this.#sketch.count(hashOf(victim))) return victim
    // The next one meets another: one that was popular long ago holds its place against few.
    this.#move(victim, this.#segmentOf(victim)!)
    return candidate
  }

  #segmentOf(entry: Kept): Segment | undefined {
    return this.#segments[(entry.standing >> USE_BITS) - 1]
  }

  #move(entry: Kept, to: Segment): void {
    this.remove(entry)
    to.push(entry)
  }

  /** Counts its hits once. */
  #wasUsed(entry: Kept): boolean {
    const uses = usesOf(entry)
    if (uses === 0) return false
    this.#sketch.add(hashOf(entry), uses)
    entry.standing -= uses
    return true
  }
}

function hashOf({ home, part }: Kept): number {
  return hashPart(home.hash, part)
}
