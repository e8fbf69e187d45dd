import { FrequencySketch } from './frequency-sketch.ts'
import { hashPart } from './hash.ts'
import type { Kept } from './kept.ts'
import type { L1Limits } from './l1.ts'
import { LinkedList } from './linked-list.ts'

/** Of all room: where each entry begins, however rarely it was seen. */
const WINDOW_SHARE = 0.01
/** Of the rest: for what was used again. */
const PROTECTED_SHARE = 0.8

/** Entries in the order they came, within a share of the limits. */
export class Segment extends LinkedList<Kept> {
  bytes = 0
  readonly #maxEntries: number
  readonly #maxBytes: number

  constructor(maxEntries: number, maxBytes: number) {
    super()
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
    entry.segment = this
    this.bytes += entry.bytes
  }

  override remove(entry: Kept): void {
    super.remove(entry)
    entry.segment = undefined
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
    this.#window = new Segment(windowEntries, maxBytes * WINDOW_SHARE)
    this.#probation = new Segment(mainEntries, mainBytes)
    this.#protected = new Segment(Math.floor(mainEntries * PROTECTED_SHARE), mainBytes * PROTECTED_SHARE)
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
    const { segment = this.#window } = replaced ?? {}
    if (replaced === undefined) this.#sketch.add(hashOf(entry), 1)
    else {
      entry.uses = replaced.uses
      this.remove(replaced)
    }
    segment.push(entry)
    this.#makeRoom()
  }

  remove(entry: Kept): void {
    entry.segment?.remove(entry)
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
      while (this.#isOver && candidate.segment !== undefined) this.#drop(this.#loser(candidate, this.#victim()))
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
      move(oldest, next)
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
      move(oldest, this.#protected)
      if (this.#protected.isOver) move(this.#unused(this.#protected)!, this.#probation)
    }
  }

  #unused(segment: Segment): Kept | undefined {
    while (segment.oldest !== undefined && this.#wasUsed(segment.oldest)) move(segment.oldest, segment)
    return segment.oldest
  }

  #loser(candidate: Kept, victim: Kept): Kept {
    if (this.#isGone(victim)) return victim
    if (this.#isGone(candidate)) return candidate
    return this.#sketch.count(hashOf(candidate)) > this.#sketch.count(hashOf(victim)) ? victim : candidate
  }

  /** Counts its hits once. */
  #wasUsed(entry: Kept): boolean {
    if (entry.uses === 0) return false
    this.#sketch.add(hashOf(entry), entry.uses)
    entry.uses = 0
    return true
  }
}

function move(entry: Kept, to: Segment): void {
  entry.segment!.remove(entry)
  to.push(entry)
}

function hashOf({ home, part }: Kept): number {
  return hashPart(home.hash, part)
}
