import { resized } from './rolling-window.ts'

/** Who keeps state by cell: it is told when there are more of them, and before one is given to another key. */
export interface CellState {
  resize(cells: number): void
  /** False while the cell means something: an open breaker, a call in a queue. */
  isIdle(cell: number, nowMs: number): boolean
  clear(cell: number): void
}

/** The cell of calls without a key. */
const NO_KEY = 0
/** The cell of those for whom there is no room: so many keys are open or busy that none may leave. They share one. */
const OVERFLOW = 1
const FIRST_KEY = 2
/** So many are looked at, from the least recently used on, before a new key goes to the overflow. */
const LOOKS = 16

/**
 * Numbers for keys, at most `max`, so that what is known of a key lies in flat arrays and no key has an object or a
 * timer of its own. The least recently used one that is idle leaves first.
 */
export class Cells {
  readonly #max: number
  readonly #states: readonly CellState[]
  readonly #cellOf = new Map<string, number>()
  readonly #keys: (string | undefined)[] = [undefined, undefined]
  /** A ring through all keys, by use; 0 is its head. */
  #newer = new Int32Array()
  #older = new Int32Array()
  /** Calls that are under way. */
  busy: Uint32Array = new Uint32Array()

  constructor(max: number, states: readonly CellState[]) {
    this.#max = max
    this.#states = states
    this.#resize(FIRST_KEY)
  }

  get size(): number {
    return this.#cellOf.size
  }

  /** The cell of a key that has one already. */
  find(key: string | undefined): number | undefined {
    return key === undefined ? NO_KEY : this.#cellOf.get(key)
  }

  of(key: string | undefined, nowMs: number): number {
    if (key === undefined) return NO_KEY
    const cell = this.#cellOf.get(key) ?? this.#make(key, nowMs)
    if (cell !== OVERFLOW && this.#newer[0] !== cell) {
      this.#unlink(cell)
      this.#link(cell)
    }
    return cell
  }

  keyOf(cell: number): string | undefined {
    return this.#keys[cell]
  }

  /** All cells that are in use. */
  *all(): Iterable<number> {
    yield NO_KEY
    if (this.#cellOf.size === this.#max) yield OVERFLOW
    yield* this.#cellOf.values()
  }

  #make(key: string, nowMs: number): number {
    const cell = this.#cellOf.size < this.#max ? this.#keys.length : this.#leave(nowMs)
    if (cell === OVERFLOW) return cell
    if (cell >= this.busy.length) this.#resize(Math.min(2 * cell, this.#max + FIRST_KEY))
    this.#keys[cell] = key
    this.#cellOf.set(key, cell)
    this.#link(cell)
    return cell
  }

  #leave(nowMs: number): number {
    for (let looks = 0; looks < LOOKS; looks++) {
      const cell = this.#older[0]!
      if (this.busy[cell] === 0 && this.#states.every((state) => state.isIdle(cell, nowMs))) {
        this.#cellOf.delete(this.#keys[cell]!)
        this.#unlink(cell)
        for (const state of this.#states) state.clear(cell)
        return cell
      }
      // What may not leave is not looked at again before the others.
      this.#unlink(cell)
      this.#link(cell)
    }
    return OVERFLOW
  }

  #link(cell: number): void {
    const second = this.#newer[0]!
    this.#newer[0] = cell
    this.#older[cell] = second === 0 ? 0 : second
    if (second === 0) this.#older[0] = cell
    else this.#newer[second] = cell
    this.#newer[cell] = 0
  }

  #unlink(cell: number): void {
    const newer = this.#newer[cell]!
    const older = this.#older[cell]!
    if (newer === 0) this.#newer[0] = older
    else this.#older[newer] = older
    if (older === 0) this.#older[0] = newer
    else this.#newer[older] = newer
  }

  #resize(cells: number): void {
    this.#newer = resized(this.#newer, cells)
    this.#older = resized(this.#older, cells)
    this.busy = resized(this.busy, cells)
    for (const state of this.#states) state.resize(cells)
  }
}
