/** Ends when its caller's signal aborts: a node of the signal's list. */
export interface Child {
  hub: SignalHub | undefined
  hubBefore: Child | undefined
  hubAfter: Child | undefined
  abort(reason: unknown): void
}

const hubs = new WeakMap<AbortSignal, SignalHub>()

/** The calls under one signal: they share one listener, which leaves with the last of them. */
export class SignalHub {
  readonly #signal: AbortSignal
  #first: Child | undefined

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
    if (first === undefined) this.#signal.addEventListener('abort', this)
    else first.hubBefore = child
    this.#first = child
  }

  remove(child: Child): void {
    const { hubBefore, hubAfter } = child
    if (hubBefore === undefined) this.#first = hubAfter
    else hubBefore.hubAfter = hubAfter
    if (hubAfter !== undefined) hubAfter.hubBefore = hubBefore
    child.hub = child.hubBefore = child.hubAfter = undefined
    if (this.#first === undefined) this.#signal.removeEventListener('abort', this)
  }

  handleEvent(): void {
    const reason: unknown = this.#signal.reason
    for (let child = this.#first; child !== undefined; child = this.#first) {
      this.remove(child)
      child.abort(reason)
    }
  }
}
