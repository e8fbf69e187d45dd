import type { LoadContext, Lookup } from '@keelson/cache'
import type { Clock } from '@keelson/kernel'
import { afterLeaving } from '../after-leaving.ts'
import type { Exchange } from '../exchange.ts'

/** A handler that has not ended its answer so long after its client has left is not waited for. */
export const LEFT_MS = 5_000
/** Handlers of one load; only one of them has a client that is still there. */
const MAX_RUNS = 4

/** The value of the cache as it comes out of a load. */
export type Found = Lookup<Uint8Array | undefined>

/** A load of the cache: handlers of this process make its value, and the first answer counts. */
export class Load {
  readonly kept: PromiseWithResolvers<Uint8Array | undefined> = Promise.withResolvers()
  /** There as soon as the cache has begun it. */
  ctx!: LoadContext<unknown>
  outcome!: Promise<Found>
  /** A handler has ended it. */
  isOver = false
  runs = 0
  /** How many of them have a client that is still there. */
  present = 0
}

/** Why a load was given up: who has waited for it looks the entry up again. */
export const LEFT: Error = new Error('the client left, and the handler did not end its answer')

/** One handler of a load. */
export interface Run {
  /** It has ended its answer, which is the load's. False: another one was first. */
  end(): boolean
  /** It answers nothing. When its client has left, others may still do. */
  fail(error: Error): void
}

/** A request, and what gives it a load that needs a handler. */
interface Waiter {
  readonly x: Exchange
  readonly take: (load: Load) => void
}

/** Who asks for one entry at this moment. */
interface Crowd {
  /** In the order they came. Most are alone, and gone at once. */
  readonly waiting: Waiter[]
  /** A load whose handler's client has left, for the next one who comes. */
  vacant: Load | undefined
}

/**
 * Many handlers end their answer only for a client that is there. So when the client of a load leaves, one of those who
 * wait runs its own handler beside: the load goes on, and the first answer of the two is that of all.
 */
export class Loads {
  readonly #crowds = new Map<string, Crowd>()
  readonly #clock: Pick<Clock, 'timer'>
  readonly #report: (x: Exchange) => void

  /** `report` is told of a request for which a load was given up. */
  constructor(clock: Pick<Clock, 'timer'>, report: (x: Exchange) => void) {
    this.#clock = clock
    this.#report = report
  }

  /** Until it is called, what this returns: `take` may be given a load that needs a handler. */
  wait(id: string, x: Exchange, take: (load: Load) => void): () => void {
    const crowd = this.#crowdOf(id)
    const { vacant } = crowd
    crowd.vacant = undefined
    const waiter = { x, take }
    if (vacant === undefined || vacant.isOver) crowd.waiting.push(waiter)
    else take(vacant)
    return () => {
      const at = crowd.waiting.indexOf(waiter)
      if (at >= 0) crowd.waiting.splice(at, 1)
      this.#clean(id, crowd)
    }
  }

  /** The handler of `x` runs for this load. */
  run(id: string, x: Exchange, load: Load): Run {
    load.runs++
    load.present++
    let isHere = true
    x.onEnd(({ aborted }) => {
      if (!aborted || load.isOver) return
      isHere = false
      load.present--
      if (load.runs < MAX_RUNS) this.#handOn(id, load)
    })
    const leaving = afterLeaving(x, this.#clock, LEFT_MS, () => {
      if (load.isOver) return
      this.#report(x)
      if (load.present === 0) this.#end(id, load, LEFT)
    })
    return {
      end: () => {
        leaving.cancel()
        return this.#end(id, load)
      },
      fail: (error) => {
        leaving.cancel()
        if (isHere) this.#end(id, load, error)
        else if (load.present === 0) this.#end(id, load, LEFT)
      },
    }
  }

  #end(id: string, load: Load, error?: Error): boolean {
    if (load.isOver) return false
    load.isOver = true
    if (error !== undefined) load.kept.reject(error)
    const crowd = this.#crowds.get(id)
    if (crowd?.vacant === load) {
      crowd.vacant = undefined
      this.#clean(id, crowd)
    }
    return true
  }

  #handOn(id: string, load: Load): void {
    const crowd = this.#crowdOf(id)
    for (let next = crowd.waiting.shift(); next !== undefined; next = crowd.waiting.shift()) {
      if (!isGone(next.x)) return next.take(load)
    }
    // Who comes while there is stale data gets that.
    if (load.ctx.previous === undefined) crowd.vacant = load
    this.#clean(id, crowd)
  }

  #crowdOf(id: string): Crowd {
    const known = this.#crowds.get(id)
    if (known !== undefined) return known
    const crowd: Crowd = { waiting: [], vacant: undefined }
    this.#crowds.set(id, crowd)
    return crowd
  }

  #clean(id: string, crowd: Crowd): void {
    if (crowd.waiting.length === 0 && crowd.vacant === undefined && this.#crowds.get(id) === crowd)
      this.#crowds.delete(id)
  }
}

function isGone(x: Exchange): boolean {
  let isOver = false
  x.onEnd(() => (isOver = true))
  return isOver
}
