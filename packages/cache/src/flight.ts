import type { Lookup } from './lookup.ts'

/** One key on its way, for everybody who may share what it brings. */
export class Flight {
  readonly answer: PromiseWithResolvers<Lookup<unknown>> = Promise.withResolvers()
  /** The scope's generation before its newest read was sent; undefined while none is on its way: who comes now is in time. */
  born: number | undefined = undefined
  /** Valid, but past its time: served while this flight lasts. */
  stale: Lookup<unknown> | undefined = undefined
  /** Nobody waits any more, or nobody may join: its value is older than an invalidation that a newcomer may know of. */
  ended = false
  #waiters = 0
  #aborter: AbortController | undefined

  constructor() {
    // Whoever waits has an own promise; a flight that nobody waits for fails quietly.
    this.answer.promise.catch(() => {})
  }

  get signal(): AbortSignal {
    return (this.#aborter ??= new AbortController()).signal
  }

  get abandoned(): boolean {
    return this.#waiters === 0
  }

  /** A caller's share. When its own signal aborts, only its wait ends; with the last one the load is aborted. */
  async wait(signal: AbortSignal | undefined): Promise<Lookup<unknown>> {
    signal?.throwIfAborted()
    this.#waiters++
    if (signal === undefined) return this.answer.promise
    const { promise, reject } = Promise.withResolvers<never>()
    const leave = (): void => {
      this.#waiters--
      if (this.#waiters === 0) this.#abandon(signal.reason)
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', leave, { once: true })
    try {
      return await Promise.race([this.answer.promise, promise])
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  abort(reason: unknown): void {
    this.ended = true
    this.#aborter?.abort(reason)
  }

  /** Of a flight that began for nobody: it counts as waited for. */
  keep(): void {
    this.#waiters++
  }

  #abandon(reason: unknown): void {
    this.abort(reason)
    this.answer.reject(reason)
  }
}
