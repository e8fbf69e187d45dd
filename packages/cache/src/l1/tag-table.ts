/**
 * When each tag was last invalidated, shared by all entries that have it. A tag is a small number here: as an object
 * it would take twice as much. Whoever points at it holds it, a note of its invalidation too; held by nobody it is
 * forgotten, and its number is used again.
 */
export class TagTable {
  readonly #tags: string[] = []
  readonly #refs: number[] = []
  readonly #unused: number[] = []
  /** The generation from which entries that were valid before are invalid; 0: never. */
  readonly hard: number[] = []
  /** The same for stale. */
  readonly soft: number[] = []

  get size(): number {
    return this.#tags.length - this.#unused.length
  }

  /** Held by nobody yet. */
  add(tag: string): number {
    const id = this.#unused.pop() ?? this.#tags.length
    this.#tags[id] = tag
    this.#refs[id] = 0
    this.hard[id] = 0
    this.soft[id] = 0
    return id
  }

  tag(id: number): string {
    return this.#tags[id]!
  }

  hold(id: number): void {
    this.#refs[id]!++
  }

  /** True when nobody holds it any more: it is to be removed. */
  release(id: number): boolean {
    return --this.#refs[id]! === 0
  }

  remove(id: number): void {
    this.#tags[id] = ''
    this.#unused.push(id)
  }
}

/** From here on a number takes two units: few caches have so many tags. */
const WIDE = 0x8000
const LOW_BITS = 15

/** The numbers of an entry's tags, as text: an array takes twice as much. */
export function pack(ids: readonly number[]): string {
  return String.fromCharCode(...ids.flatMap((id) => (id < WIDE ? [id] : [WIDE | (id >>> LOW_BITS), id & (WIDE - 1)])))
}

/** The number that begins at `at`. */
export function idAt(packed: string, at: number): number {
  const unit = packed.charCodeAt(at)
  return unit < WIDE ? unit : ((unit - WIDE) << LOW_BITS) | packed.charCodeAt(at + 1)
}

/** Where the next one begins. */
export function after(packed: string, at: number): number {
  return at + (packed.charCodeAt(at) < WIDE ? 1 : 2)
}
