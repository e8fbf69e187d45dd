import type { Call } from './call.ts'
import type { Engine } from './engine.ts'
import { layerMark } from './layers.ts'
import type { Run } from './run.ts'
import type { Ticket } from './upstream.ts'

/**
 * One begin of the work. Ticket and place of the limit are held by the first of those that run at once; hedges run on
 * them.
 */
export class Attempt implements Call, Ticket {
  readonly run: Run
  readonly attempt: number
  readonly startedMs: number
  /** Where it stands in the order of errors that are given up on. */
  readonly mark: number
  readonly holder: Attempt
  readonly generation: number
  readonly probe: number
  /** Of the holder: works that have not ended. */
  underWay = 0
  holdsTicket: boolean
  holdsPlace: boolean
  /** What one of those that run at once has answered needs the place. */
  isKept = false
  /** Its result counts no longer. */
  isOver = false
  #controller: AbortController | undefined = undefined
  #reason: unknown = undefined
  #abandon: { cancel(): void } | undefined = undefined

  constructor(run: Run, nowMs: number, holder: Attempt | undefined) {
    const { upstream } = run.engine
    this.run = run
    this.attempt = ++run.works
    this.startedMs = nowMs
    this.mark = layerMark()
    this.holder = holder ?? this
    this.probe = upstream.probe
    this.generation = upstream.breakers === undefined ? 0 : upstream.breakers.generation[run.cell]!
    this.holdsTicket = holder === undefined
    this.holdsPlace = holder === undefined && upstream.limits !== undefined
  }

  get endsMs(): number {
    return this.startedMs + this.run.engine.settings.attemptMs
  }

  get cell(): number {
    return this.run.cell
  }

  get key(): string | undefined {
    return this.run.key
  }

  get remaining(): number {
    return Math.max(0, Math.min(this.endsMs, this.run.endsMs) - this.run.engine.clock.monotonic())
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  begin(): void {
    const { engine, work } = this.run
    this.holder.underWay++
    engine.begun()
    let answer: unknown
    try {
      answer = engine.chaos === undefined ? work(this) : engine.chaos(work, this)
      if (answer instanceof Promise) return follow(this, answer)
      if (isThenable(answer)) return follow(this, Promise.resolve(answer))
    } catch (error) {
      return this.run.settled(this, error, true)
    }
    this.run.settled(this, answer, false)
  }

  /** Nobody waits for it any more. */
  giveUp(reason: unknown): void {
    this.isOver = true
    this.#reason = reason
    this.#controller?.abort(reason)
  }

  /** Nobody waits for any of those that run at once. Their place is free when they end, or is taken back from them. */
  abandonLater(engine: Engine): void {
    if (this.underWay === 0 || !this.holdsPlace || this.#abandon !== undefined) return
    this.#abandon = engine.clock.timer(() => {
      engine.abandoned(this.underWay)
      this.underWay = 0
      this.releasePlace(engine)
    }, engine.settings.abandonMs)
  }

  /** The work has really ended. False where it was abandoned before. */
  end(engine: Engine): void {
    const { holder } = this
    if (holder.underWay === 0) return
    holder.underWay--
    engine.ended()
    if (holder.underWay > 0 || holder.#abandon === undefined) return
    holder.#abandon.cancel()
    holder.#abandon = undefined
  }

  /** Where nothing needs it any more. */
  releasePlace(engine: Engine): void {
    if (!this.holdsPlace || this.isKept || this.underWay > 0) return
    this.holdsPlace = false
    engine.releasePlace(this.cell)
  }
}

/** Its functions are the only ones that a call makes. */
function follow(attempt: Attempt, answer: Promise<unknown>): void {
  answer.then(
    (value) => attempt.run.settled(attempt, value, false),
    (error: unknown) => attempt.run.settled(attempt, error, true),
  )
}

function isThenable(answer: unknown): answer is PromiseLike<unknown> {
  return (
    ((typeof answer === 'object' && answer !== null) || typeof answer === 'function') &&
    typeof (answer as { then?: unknown }).then === 'function'
  )
}
