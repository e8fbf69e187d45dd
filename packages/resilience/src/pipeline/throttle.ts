import type { CellState } from './cells.ts'
import { TimeWindow } from './rolling-window.ts'

/** Short, so that an upstream that is well again is asked again soon. */
const WINDOW_MS = 10_000

/**
 * Drops calls here that the upstream would refuse anyway, with probability (requests - k * accepts) / (requests + 1),
 * at most `max`: what still gets through tells when it is well again. (Site Reliability Engineering, chapter 21.)
 */
export class Throttles implements CellState {
  readonly #k: number
  readonly #max: number
  readonly #random: () => number
  /** A failure here is a request that was not accepted, those dropped included. */
  readonly #window = new TimeWindow(WINDOW_MS, false)

  constructor(k: number, max: number, random: () => number) {
    this.#k = k
    this.#max = max
    this.#random = random
  }

  /** False: dropped, and counted as a request. */
  admits(cell: number, nowMs: number): boolean {
    this.#window.roll(cell, nowMs)
    const requests = this.#window.total[cell]!
    const accepts = requests - this.#window.failed[cell]!
    const drop = Math.min(this.#max, (requests - this.#k * accepts) / (requests + 1))
    if (drop <= 0 || this.#random() >= drop) return true
    this.#window.add(cell, nowMs, true, false)
    return false
  }

  settle(cell: number, accepted: boolean, nowMs: number): void {
    this.#window.add(cell, nowMs, !accepted, false)
  }

  isIdle(): boolean {
    return true
  }

  clear(cell: number): void {
    this.#window.clear(cell)
  }

  resize(cells: number): void {
    this.#window.resize(cells)
  }
}
