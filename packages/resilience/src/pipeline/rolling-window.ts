/** What came of the last calls of each cell. A cell is the number under which a key's state is kept. */
export interface RollingWindow {
  /** Sums of what is inside, once `roll` was called. */
  readonly total: Uint32Array
  readonly failed: Uint32Array
  readonly slow: Uint32Array
  /** Forgets what has left the window. */
  roll(cell: number, nowMs: number): void
  add(cell: number, nowMs: number, failed: boolean, slow: boolean): void
  clear(cell: number): void
  resize(cells: number): void
}

const SLOTS = 10

/** By time: ten slots, rotated by the time that has passed when somebody looks. Nothing runs by itself. */
export class TimeWindow implements RollingWindow {
  readonly #slotMs: number
  total: Uint32Array = new Uint32Array()
  failed: Uint32Array = new Uint32Array()
  slow: Uint32Array = new Uint32Array()
  /** Of each slot: total, failed and, where it is asked for, slow. */
  #slots = new Uint32Array()
  /** Number of the newest slot; only differences count, so it may wrap. */
  #newest = new Uint32Array()
  readonly #width: number

  constructor(windowMs: number, countsSlow: boolean) {
    this.#slotMs = windowMs / SLOTS
    this.#width = countsSlow ? 3 : 2
  }

  roll(cell: number, nowMs: number): void {
    const now = Math.floor(nowMs / this.#slotMs) >>> 0
    const passed = (now - this.#newest[cell]!) >>> 0
    if (passed === 0) return
    this.#newest[cell] = now
    if (this.total[cell] === 0) return
    if (passed >= SLOTS) return this.#empty(cell)
    for (let back = 0; back < passed; back++) this.#leave(cell, (now - back) >>> 0)
  }

  add(cell: number, nowMs: number, failed: boolean, slow: boolean): void {
    this.roll(cell, nowMs)
    const at = this.#at(cell, this.#newest[cell]!)
    const slots = this.#slots
    slots[at]!++
    this.total[cell]!++
    if (failed) {
      slots[at + 1]!++
      this.failed[cell]!++
    }
    if (slow && this.#width === 3) {
      slots[at + 2]!++
      this.slow[cell]!++
    }
  }

  clear(cell: number): void {
    this.#empty(cell)
  }

  resize(cells: number): void {
    this.total = resized(this.total, cells)
    this.failed = resized(this.failed, cells)
    if (this.#width === 3) this.slow = resized(this.slow, cells)
    this.#slots = resized(this.#slots, cells * SLOTS * this.#width)
    this.#newest = resized(this.#newest, cells)
  }

  #at(cell: number, slot: number): number {
    return (cell * SLOTS + (slot % SLOTS)) * this.#width
  }

  #leave(cell: number, slot: number): void {
    const at = this.#at(cell, slot)
    const slots = this.#slots
    this.total[cell]! -= slots[at]!
    this.failed[cell]! -= slots[at + 1]!
    if (this.#width === 3) this.slow[cell]! -= slots[at + 2]!
    slots.fill(0, at, at + this.#width)
  }

  #empty(cell: number): void {
    this.total[cell] = 0
    this.failed[cell] = 0
    if (this.#width === 3) this.slow[cell] = 0
    const from = cell * SLOTS * this.#width
    this.#slots.fill(0, from, from + SLOTS * this.#width)
  }
}

const COUNTED = 1
const FAILED = 2
const SLOW = 4

/** By number: the last so many calls, however long ago. */
export class CallWindow implements RollingWindow {
  readonly #calls: number
  total: Uint32Array = new Uint32Array()
  failed: Uint32Array = new Uint32Array()
  slow: Uint32Array = new Uint32Array()
  /** A ring for each cell. */
  #marks = new Uint8Array()
  #next = new Uint32Array()

  constructor(calls: number) {
    this.#calls = calls
  }

  roll(): void {
    // Time takes nothing away.
  }

  add(cell: number, _nowMs: number, failed: boolean, slow: boolean): void {
    const at = cell * this.#calls + this.#next[cell]!
    const left = this.#marks[at]!
    if (left !== 0) this.#count(cell, left, -1)
    const mark = COUNTED | (failed ? FAILED : 0) | (slow ? SLOW : 0)
    this.#marks[at] = mark
    this.#count(cell, mark, 1)
    this.#next[cell] = (this.#next[cell]! + 1) % this.#calls
  }

  clear(cell: number): void {
    this.total[cell] = this.failed[cell] = this.slow[cell] = this.#next[cell] = 0
    this.#marks.fill(0, cell * this.#calls, (cell + 1) * this.#calls)
  }

  resize(cells: number): void {
    this.total = resized(this.total, cells)
    this.failed = resized(this.failed, cells)
    this.slow = resized(this.slow, cells)
    this.#marks = resized(this.#marks, cells * this.#calls)
    this.#next = resized(this.#next, cells)
  }

  #count(cell: number, mark: number, by: number): void {
    this.total[cell]! += by
    if ((mark & FAILED) !== 0) this.failed[cell]! += by
    if ((mark & SLOW) !== 0) this.slow[cell]! += by
  }
}

type Numbers = Uint8Array | Int32Array | Uint32Array | Float64Array

/** The same numbers in an array of another length, as whoever keeps numbers by cell needs it when cells are added. */
export function resized<A extends Numbers>(array: A, length: number): A {
  const larger = new (array.constructor as new (length: number) => A)(length)
  larger.set(array.subarray(0, length))
  return larger
}
