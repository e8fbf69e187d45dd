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

/** Of a number in a packed text. */
export const UNITS = 2

/** The numbers of an entry's tags, as text of two units each: an array takes twice as much. */
export function pack(ids: readonly number[]): string {
  return String.fromCharCode(...ids.flatMap((id) => [id >>> 16, id & 0xffff]))
}

/** Of two units from `at`. */
export function unpack(packed: string, at: number): number {
  return packed.charCodeAt(at) * 0x1_0000 + packed.charCodeAt(at + 1)
}
