import type { Engine } from './engine.ts'
import { shown } from '../shown.ts'
import { NO_LATENCY, type Ticket } from './upstream.ts'
import { CLASSES, type Class } from './verdict.ts'
import { ResilienceError } from '../error.ts'

/** The right to use the upstream, for what is no single call: a stream, a subscription. */
export interface Permit extends Disposable {
  /** Gives it back with what it came to; only the first counts. To dispose of it says `ignore`. */
  settle(verdict: Class): void
}

export class HeldPermit implements Permit, Ticket {
  readonly #engine: Engine
  readonly cell: number
  readonly generation: number
  readonly probe: number
  #isSettled = false

  constructor(engine: Engine, cell: number) {
    const { upstream } = engine
    this.#engine = engine
    this.cell = cell
    this.generation = upstream.breakers?.generation[cell] ?? 0
    this.probe = upstream.probe
    upstream.cells.busy[cell]!++
    engine.begun()
  }

  settle(verdict: Class): void {
    if (!CLASSES.includes(verdict)) {
      const allowed = CLASSES.map((each) => `'${each}'`).join(', ')
      throw new ResilienceError('INPUT_INVALID', `settle: the verdict must be ${allowed} (got ${shown(verdict)})`)
    }
    if (this.#isSettled) return
    this.#isSettled = true
    const { upstream, clock } = this.#engine
    const nowMs = clock.monotonic()
    upstream.cells.busy[this.cell]!--
    this.#engine.ended()
    upstream.settle(this, verdict, false, NO_LATENCY, 0, nowMs)
    if (upstream.limits !== undefined) this.#engine.releasePlace(this.cell)
  }

  [Symbol.dispose](): void {
    this.settle('ignore')
  }
}
