import { checkOptions, opt } from '@keelson/kernel'
import { optionFailure } from '../error.ts'
import type { CellState } from './cells.ts'
import { resized } from './rolling-window.ts'

/** What `createBudget` takes. */
export interface BudgetOptions {
  /** What a call adds; default 0.1: one retry for ten calls. */
  readonly ratio?: number
  /** What a second adds; default 1, so that a quiet service may retry too. */
  readonly perSecond?: number
  /** What it holds at most, and at its start; default 10. */
  readonly burst?: number
}

const SPEC = {
  ratio: opt.custom('a number from 0 to 10', (given) => isBetween(given, 0, 10), 0.1),
  perSecond: opt.custom('a number from 0 to 1,000,000', (given) => isBetween(given, 0, 1_000_000), 1),
  burst: opt.custom('a number from 0 to 1,000,000', (given) => isBetween(given, 0, 1_000_000), 10),
}

function isBetween(given: unknown, min: number, max: number): boolean {
  return typeof given === 'number' && given >= min && given <= max
}

/**
 * What retries and hedges may cost: in any span of time at most `burst + ratio * calls + perSecond * seconds` of them.
 * Pipelines to one target share one. (Retry budgets as of Finagle.)
 */
export class Budget {
  readonly #tokens: Budgets

  constructor(options: BudgetOptions = {}) {
    this.#tokens = new Budgets(options)
    this.#tokens.resize(1)
  }

  /** @internal */
  call(_cell: number, nowMs: number): void {
    this.#tokens.call(0, nowMs)
  }

  /** @internal */
  take(_cell: number, nowMs: number): boolean {
    return this.#tokens.take(0, nowMs)
  }

  /** @internal */
  giveBack(_cell: number): void {
    this.#tokens.giveBack(0)
  }

  /** @internal */
  left(_cell: number, nowMs: number): number {
    return this.#tokens.left(0, nowMs)
  }
}

/**
 * A retry budget to share between pipelines of one target.
 * @throws ResilienceError OPTION_INVALID
 */
export function createBudget(options?: BudgetOptions): Budget {
  return new Budget(options)
}

/** One budget for each cell. */
export class Budgets implements CellState {
  readonly #ratio: number
  readonly #perMs: number
  readonly #burst: number
  #tokens = new Float64Array()
  #atMs = new Float64Array()

  constructor(options: BudgetOptions = {}) {
    const { ratio, perSecond, burst } = checkOptions('createBudget', options, SPEC, optionFailure)
    this.#ratio = ratio
    this.#perMs = perSecond / 1000
    this.#burst = burst
  }

  call(cell: number, nowMs: number): void {
    this.#tokens[cell] = Math.min(this.#burst, this.left(cell, nowMs) + this.#ratio)
  }

  take(cell: number, nowMs: number): boolean {
    const left = this.left(cell, nowMs)
    if (left < 1) return false
    this.#tokens[cell] = left - 1
    return true
  }

  giveBack(cell: number): void {
    this.#tokens[cell] = Math.min(this.#burst, this.#tokens[cell]! + 1)
  }

  left(cell: number, nowMs: number): number {
    const sinceMs = nowMs - this.#atMs[cell]!
    if (sinceMs > 0) {
      this.#tokens[cell] = Math.min(this.#burst, this.#tokens[cell]! + sinceMs * this.#perMs)
      this.#atMs[cell] = nowMs
    }
    return this.#tokens[cell]!
  }

  /** A key that left with an empty budget would come back with a full one. */
  isIdle(cell: number, nowMs: number): boolean {
    return this.left(cell, nowMs) >= this.#burst
  }

  clear(cell: number): void {
    this.#tokens[cell] = this.#burst
    this.#atMs[cell] = 0
  }

  resize(cells: number): void {
    const had = this.#tokens.length
    this.#tokens = resized(this.#tokens, cells).fill(this.#burst, had)
    this.#atMs = resized(this.#atMs, cells)
  }
}
