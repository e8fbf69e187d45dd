import type { CellState } from './cells.ts'
import { resized } from './rolling-window.ts'

export interface LimitSettings {
  readonly adaptive: boolean
  /** The limit itself where it is not adaptive. */
  readonly max: number
  readonly min: number
  readonly initial: number
}

const STEP_MS = 100
const STEP_SAMPLES = 10
const BASE_SPAN_MS = 10_000
const AFTER_DROP = 0.85

/**
 * How many calls of a cell may be under way. An adaptive limit follows the latency: it falls when calls take twice as
 * long as they can, or when one is dropped, and grows by less than its root while most of it is used. (Gradient2 of
 * Netflix's concurrency-limits.)
 */
export class Limits implements CellState {
  readonly #settings: LimitSettings
  inFlight: Uint32Array = new Uint32Array()
  #limit = new Float64Array()
  /** Of this step: when it began, its samples and their sum, the most that were under way, and whether one was dropped. */
  #stepMs = new Float64Array()
  #sumMs = new Float64Array()
  #samples = new Uint32Array()
  #most = new Uint32Array()
  #dropped = new Uint8Array()
  /** The least mean of this span of ten seconds and of the one before. */
  #spanMs = new Float64Array()
  #base = new Float64Array()
  #baseBefore = new Float64Array()

  constructor(settings: LimitSettings) {
    this.#settings = settings
  }

  limit(cell: number): number {
    return this.#settings.adaptive ? Math.floor(this.#limit[cell]!) : this.#settings.max
  }

  isFull(cell: number): boolean {
    return this.inFlight[cell]! >= (this.#settings.adaptive ? Math.floor(this.#limit[cell]!) : this.#settings.max)
  }

  take(cell: number): void {
    const inFlight = ++this.inFlight[cell]!
    if (inFlight > this.#most[cell]!) this.#most[cell] = inFlight
  }

  giveBack(cell: number): void {
    this.inFlight[cell]!--
  }

  /** A call that the upstream answered in so many ms. */
  sample(cell: number, latencyMs: number, nowMs: number): void {
    if (!this.#settings.adaptive) return
    this.#sumMs[cell]! += latencyMs
    this.#samples[cell]!++
    this.#step(cell, nowMs)
  }

  /** A call that took too long, or that the upstream turned away. */
  drop(cell: number, nowMs: number): void {
    if (!this.#settings.adaptive) return
    this.#dropped[cell] = 1
    this.#samples[cell]!++
    this.#step(cell, nowMs)
  }

  isIdle(cell: number): boolean {
    return this.inFlight[cell] === 0
  }

  clear(cell: number): void {
    this.inFlight[cell] = this.#samples[cell] = this.#most[cell] = this.#dropped[cell] = 0
    this.#stepMs[cell] = this.#sumMs[cell] = this.#spanMs[cell] = 0
    this.#limit[cell] = this.#settings.initial
    this.#base[cell] = this.#baseBefore[cell] = Infinity
  }

  resize(cells: number): void {
    const had = this.inFlight.length
    this.inFlight = resized(this.inFlight, cells)
    this.#most = resized(this.#most, cells)
    if (!this.#settings.adaptive) return
    this.#limit = resized(this.#limit, cells).fill(this.#settings.initial, had)
    this.#stepMs = resized(this.#stepMs, cells)
    this.#sumMs = resized(this.#sumMs, cells)
    this.#samples = resized(this.#samples, cells)
    this.#dropped = resized(this.#dropped, cells)
    this.#spanMs = resized(this.#spanMs, cells)
    this.#base = resized(this.#base, cells).fill(Infinity, had)
    this.#baseBefore = resized(this.#baseBefore, cells).fill(Infinity, had)
  }

  #step(cell: number, nowMs: number): void {
    if (this.#samples[cell]! < STEP_SAMPLES || nowMs - this.#stepMs[cell]! < STEP_MS) return
    const limit = this.#limit[cell]!
    this.#limit[cell] = this.#bounded(
      this.#dropped[cell] === 1 ? limit * AFTER_DROP : this.#followed(cell, limit, nowMs),
    )
    this.#stepMs[cell] = nowMs
    this.#sumMs[cell] = this.#samples[cell] = this.#dropped[cell] = 0
    this.#most[cell] = this.inFlight[cell]!
  }

  #followed(cell: number, limit: number, nowMs: number): number {
    const meanMs = this.#sumMs[cell]! / this.#samples[cell]!
    const gradient = Math.min(1, Math.max(0.7, (2 * this.#leastMeanMs(cell, meanMs, nowMs)) / meanMs))
    const grows = this.#most[cell]! >= 0.7 * limit
    return limit * gradient + (grows ? Math.sqrt(limit) / 2 : 0)
  }

  /** Of the last ten to twenty seconds: what the upstream can do is not forgotten at once, nor kept for ever. */
  #leastMeanMs(cell: number, meanMs: number, nowMs: number): number {
    if (nowMs - this.#spanMs[cell]! >= BASE_SPAN_MS) {
      this.#baseBefore[cell] = this.#base[cell]!
      this.#base[cell] = Infinity
      this.#spanMs[cell] = nowMs
    }
    this.#base[cell] = Math.min(this.#base[cell]!, meanMs)
    return Math.max(Number.MIN_VALUE, Math.min(this.#base[cell], this.#baseBefore[cell]!))
  }

  #bounded(limit: number): number {
    return Math.min(this.#settings.max, Math.max(this.#settings.min, limit))
  }
}
