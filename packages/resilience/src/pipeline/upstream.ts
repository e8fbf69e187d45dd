import { Breakers, NO_PROBE, REFUSED, type BreakerReason, type BreakerState } from './breaker.ts'
import { Budgets, type Budget } from './budget.ts'
import { Cells, type CellState } from './cells.ts'
import { Latencies } from './latencies.ts'
import { Limits } from './limits.ts'
import { resized } from './rolling-window.ts'
import type { Settings } from './settings.ts'
import { Throttles } from './throttle.ts'
import { TokenRate } from './token-rate.ts'
import type { Class } from './verdict.ts'
import { Waiters } from './waiters.ts'

/** What `force` sets. */
export type Forced = 'open' | 'closed' | 'observe' | null
const FORCED: readonly Forced[] = [null, 'open', 'closed', 'observe']

/** What `enter` answers. */
export const ADMITTED = 0
export const QUEUE = 1
export const OPEN = 2
export const SHED = 3
export const THROTTLED = 4
export const RATE = 5

/** An admission without a ticket: its result changes nothing. */
const NO_TICKET = -3

/** Of a stream: how long it lasts says nothing of how long calls take. */
export const NO_LATENCY = -1

/** What is held by an admission until it is settled. */
export interface Ticket {
  readonly cell: number
  readonly generation: number
  /** NO_TICKET, NO_PROBE, or the number of the probe. */
  readonly probe: number
}

/** All that is known of an upstream, and who may go to it: rate, throttle, breaker, limit, in this order. */
export class Upstream implements CellState {
  readonly cells: Cells
  readonly breakers: Breakers | undefined
  readonly limits: Limits | undefined
  readonly waiters: Waiters | undefined
  readonly budget: Budget | Budgets | undefined
  readonly latencies: Latencies = new Latencies()
  readonly rate: TokenRate | undefined
  readonly #throttles: Throttles | undefined
  readonly #slowMs: number
  /** By cell; with `#forcedAll` over them. */
  #forced = new Uint8Array()
  #forcedAll = 0
  #hasForced = false
  /** Of the admission that `enter` made last. */
  probe: number = NO_PROBE

  constructor(s: Settings, changed: (cell: number, from: BreakerState, to: BreakerState, why: BreakerReason) => void) {
    this.breakers = s.breaker && new Breakers(s.breaker, s.random, changed)
    this.#slowMs = s.breaker?.slow?.overMs ?? Infinity
    this.limits = s.limit && new Limits(s.limit)
    this.waiters = s.queue > 0 ? new Waiters(s.queue) : undefined
    this.#throttles = s.throttle && new Throttles(s.throttle.k, s.throttle.max, s.random)
    this.rate = s.rate && new TokenRate(s.rate.limit, s.rate.perMs, s.rate.burst)
    const budgets = s.budget === undefined ? new Budgets() : undefined
    this.budget = s.budget === false ? undefined : (s.budget ?? budgets)
    const states = [this, this.breakers, this.limits, this.waiters, this.#throttles, budgets]
    this.cells = new Cells(
      s.maxKeys,
      states.filter((state) => state !== undefined),
    )
  }

  /** Certain to be refused by the breaker, with nothing changed. */
  isOpen(cell: number, nowMs: number): boolean {
    if (this.breakers === undefined) return false
    const forced = this.#hasForced ? this.forced(cell) : null
    return forced === null ? this.breakers.isOpen(cell, nowMs) : forced === 'open'
  }

  /** Makes the admission, or says why there is none. */
  enter(cell: number, nowMs: number): number {
    if (this.rate === undefined) return this.#enterUpstream(cell, nowMs)
    if (!this.rate.take(nowMs)) return RATE
    const entry = this.#enterUpstream(cell, nowMs)
    // The rate is of calls that go out.
    if (entry > QUEUE) this.rate.giveBack()
    return entry
  }

  #enterUpstream(cell: number, nowMs: number): number {
    if (this.#throttles !== undefined && !this.#throttles.admits(cell, nowMs)) return THROTTLED
    if (this.limits !== undefined && this.limits.isFull(cell)) {
      // Nobody waits for a breaker, and nobody who waits holds one of its tickets.
      if (this.#isRefused(cell, nowMs)) return OPEN
      return this.waiters === undefined ? SHED : QUEUE
    }
    return this.enterWithPlace(cell, nowMs)
  }

  /** For those who have waited: a place is free. */
  enterWithPlace(cell: number, nowMs: number): number {
    if (this.breakers !== undefined) {
      const forced = this.#hasForced ? this.forced(cell) : null
      if (forced === 'open') return OPEN
      this.probe = forced === 'closed' ? NO_TICKET : this.breakers.admit(cell, nowMs)
      if (this.probe === REFUSED) {
        if (forced === null) return OPEN
        this.probe = NO_TICKET
      }
    }
    if (this.limits !== undefined) this.limits.take(cell)
    return ADMITTED
  }

  /** What an admission came to, once for each. */
  settle(
    ticket: Ticket,
    verdict: Class,
    isTimeout: boolean,
    latencyMs: number,
    retryAfterMs: number,
    nowMs: number,
  ): void {
    const { cell } = ticket
    if (verdict === 'ok' && latencyMs !== NO_LATENCY) {
      this.latencies.add(latencyMs)
      if (this.limits !== undefined) this.limits.sample(cell, latencyMs, nowMs)
    } else if (this.limits !== undefined && (isTimeout || verdict === 'throttle')) this.limits.drop(cell, nowMs)
    if (this.#throttles !== undefined) {
      this.#throttles.settle(cell, verdict === 'ok' || verdict === 'ignore', nowMs)
    }
    if (this.breakers !== undefined && ticket.probe !== NO_TICKET) {
      const slow = latencyMs > this.#slowMs
      this.breakers.settle(cell, ticket.generation, ticket.probe, verdict, slow, retryAfterMs, nowMs)
    }
  }

  state(cell: number, nowMs: number): BreakerState {
    const forced = this.forced(cell)
    if (forced === 'open' || forced === 'closed') return forced
    return this.breakers?.state(cell, nowMs) ?? 'closed'
  }

  /** Of a key that was never seen. */
  stateOfNew(): BreakerState {
    return FORCED[this.#forcedAll] === 'open' ? 'open' : 'closed'
  }

  forced(cell: number): Forced {
    return FORCED[this.#forced[cell]! || this.#forcedAll]!
  }

  /** Without a cell for all of them. */
  force(to: Forced, cell?: number): void {
    const was = cell === undefined ? this.#forcedAll : this.#forced[cell]!
    const now = FORCED.indexOf(to)
    if (cell === undefined) {
      this.#forcedAll = now
      if (to === null) this.#forced.fill(0)
    } else this.#forced[cell] = now
    this.#hasForced = this.#forcedAll !== 0 || this.#forced.some((forced) => forced !== 0)
    // What was held closed had no eyes; it begins anew.
    if (FORCED[was] !== 'closed' || to === 'closed') return
    for (const each of cell === undefined ? this.cells.all() : [cell]) this.breakers?.reset(each)
  }

  isIdle(cell: number): boolean {
    return this.#forced[cell] === 0
  }

  clear(): void {
    // Only what is not forced is given to another key.
  }

  resize(cells: number): void {
    this.#forced = resized(this.#forced, cells)
  }

  #isRefused(cell: number, nowMs: number): boolean {
    if (this.breakers === undefined) return false
    const forced = this.#hasForced ? this.forced(cell) : null
    return forced === null ? this.breakers.refuses(cell, nowMs) : forced === 'open'
  }
}
