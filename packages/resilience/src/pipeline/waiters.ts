import type { CellState } from './cells.ts'

/** 0 is shed last. */
export type Priority = 0 | 1 | 2 | 3
const PRIORITIES = 4

/** Somebody who waits for a permit: a node of its line. */
export interface Waiter {
  readonly priority: Priority
  readonly joinedMs: number
  /** When it gives up; Infinity when never. */
  readonly endsMs: number
  inLine: boolean
  lineBefore: Waiter | undefined
  lineAfter: Waiter | undefined
}

class Line {
  first: Waiter | undefined
  last: Waiter | undefined
  size = 0

  add(waiter: Waiter): void {
    this.size++
    waiter.inLine = true
    waiter.lineBefore = this.last
    if (this.last === undefined) this.first = waiter
    else this.last.lineAfter = waiter
    this.last = waiter
  }

  remove(waiter: Waiter): void {
    const { lineBefore, lineAfter } = waiter
    if (lineBefore === undefined) this.first = lineAfter
    else lineBefore.lineAfter = lineAfter
    if (lineAfter === undefined) this.last = lineBefore
    else lineAfter.lineBefore = lineBefore
    this.size--
    waiter.inLine = false
    waiter.lineBefore = waiter.lineAfter = undefined
  }
}

interface Queue {
  size: number
  readonly lines: readonly Line[]
}

/**
 * Those who wait for a permit, by cell and priority. In a line the oldest comes first; once it has waited half of its
 * time the newest does: under overload somebody is served in time, and not everybody too late. (Adaptive LIFO, Facebook,
 * 2015.)
 */
export class Waiters implements CellState {
  readonly #max: number
  readonly #queues: (Queue | undefined)[] = []
  /** In all cells. */
  size = 0

  constructor(max: number) {
    this.#max = max
  }

  sizeOf(cell: number): number {
    return this.#queues[cell]?.size ?? 0
  }

  /** How many are at least as important. */
  ahead(cell: number, priority: Priority): number {
    const lines = this.#queues[cell]?.lines.slice(0, priority + 1) ?? []
    return lines.reduce((count, { size }) => count + size, 0)
  }

  /** Undefined: it waits. Otherwise the one that is shed for it, which may be itself. */
  add<W extends Waiter>(cell: number, waiter: W): W | undefined {
    const queue = (this.#queues[cell] ??= { size: 0, lines: Array.from({ length: PRIORITIES }, () => new Line()) })
    let shed: W | undefined
    if (queue.size >= this.#max) {
      shed = worst(queue.lines, waiter.priority) as W | undefined
      if (shed === undefined) return waiter
      this.remove(cell, shed)
    }
    queue.lines[waiter.priority]!.add(waiter)
    queue.size++
    this.size++
    return shed
  }

  /** Who is served next; it still waits until `remove`. */
  next(cell: number, nowMs: number): Waiter | undefined {
    const queue = this.#queues[cell]
    if (queue === undefined || queue.size === 0) return undefined
    const line = queue.lines.find(({ first }) => first !== undefined)!
    const { joinedMs, endsMs } = line.first!
    return nowMs - joinedMs >= (endsMs - joinedMs) / 2 ? line.last : line.first
  }

  remove(cell: number, waiter: Waiter): void {
    const queue = this.#queues[cell]!
    queue.lines[waiter.priority]!.remove(waiter)
    queue.size--
    this.size--
  }

  isIdle(cell: number): boolean {
    return this.sizeOf(cell) === 0
  }

  clear(cell: number): void {
    this.#queues[cell] = undefined
  }

  resize(): void {
    // Queues are made when somebody waits.
  }
}

/** The newest of the least important, if it is less important than `priority`. */
function worst(lines: readonly Line[], priority: Priority): Waiter | undefined {
  for (let at = PRIORITIES - 1; at > priority; at--) {
    if (lines[at]!.last !== undefined) return lines[at]!.last
  }
  return undefined
}
