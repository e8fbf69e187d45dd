/** After a failed load with stale data: doubled from the first to the last. */
const FIRST_MS = 1_000
const LAST_MS = 30_000
const MAX_KEYS = 1_000

interface Backoff {
  readonly untilMs: number
  readonly delayMs: number
}

/** Keys whose loads fail while stale data is served: they are left alone, each time for longer. */
export class Backoffs {
  readonly #of = new Map<string, Backoff>()

  /** Whether it is not to be loaded now. */
  holds(key: string, nowMs: number): boolean {
    const backoff = this.#of.get(key)
    return backoff !== undefined && nowMs < backoff.untilMs
  }

  /** A load has failed. */
  add(key: string, nowMs: number): void {
    const before = this.#of.get(key)
    const delayMs = before === undefined ? FIRST_MS : Math.min(2 * before.delayMs, LAST_MS)
    this.#of.delete(key)
    this.#of.set(key, { delayMs, untilMs: nowMs + delayMs })
    if (this.#of.size > MAX_KEYS) this.#of.delete(this.#of.keys().next().value!)
  }

  /** A load has succeeded, or there is no stale data to be served meanwhile. */
  delete(key: string): void {
    this.#of.delete(key)
  }
}
