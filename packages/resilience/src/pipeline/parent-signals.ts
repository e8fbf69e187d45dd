/** Ends when its caller's signal aborts: a node of the signal's list. */
export interface Child {
  hub: SignalHub | undefined
  hubBefore: Child | undefined
  hubAfter: Child | undefined
  abort(reason: unknown): void
}

const hubs = new WeakMap<AbortSignal, SignalHub>()

/** A signal that was left so often is likely to be come back to at once. */
const MANY = 64

/**
 * The calls under one signal: they share one listener, which leaves with the last of them. Where one call follows the
 * other it leaves when the event loop turns: to come and go costs more than the call.
 */
export class SignalHub {
  readonly #signal: AbortSignal
  #first: Child | undefined
  #left = 0
  #listens = false
  #isLeaving = false

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  static of(signal: AbortSignal): SignalHub {
    let hub = hubs.get(signal)
    if (hub === undefined) {
      hub = new SignalHub(signal)
      hubs.set(signal, hub)
    }
    return hub
  }

  add(child: Child): void {
    const first = this.#first
    child.hub = this
    child.hubAfter = first
    if (first !== undefined) first.hubBefore = child
    else if (!this.#listens) {
      this.#listens = true
      this.#signal.addEventListener('abort', this)
    }
    this.#first = child
  }

  remove(child: Child): void {
    const { hubBefore, hubAfter } = child
    if (hubBefore === undefined) this.#first = hubAfter
    else hubBefore.hubAfter = hubAfter
    if (hubAfter !== undefined) hubAfter.hubBefore = hubBefore
    child.hub = child.hubBefore = child.hubAfter = undefined
    if (this.#first !== undefined || this.#isLeaving) return
    if (++this.#left < MANY) return this.#leave()
    this.#isLeaving = true
    setImmediate(() => {
      this.#isLeaving = false
      if (this.#first === undefined) this.#leave()
    })
  }

  #leave(): void {
    this.#listens = false
    this.#signal.removeEventListener('abort', this)
  }

  handleEvent(): void {
    const reason: unknown = this.#signal.reason
    for (let child = this.#first; child !== undefined; child = this.#first) {
      this.remove(child)
      child.abort(reason)
    }
  }
}
