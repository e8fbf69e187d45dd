import type { Clock } from '@keelson/kernel'

/** Without a message the store is asked again so often. */
const POLL_MS = 50

/** Who waits for a load elsewhere, by encoded key. */
export class WakeUps {
  readonly #waiting = new Map<string, Set<() => void>>()

  /** Until it has ended, as far as is known here; at most for a while. */
  async wait(key: string, clock: Clock): Promise<void> {
    const waiting = this.#waiting.get(key) ?? new Set()
    this.#waiting.set(key, waiting)
    await new Promise<void>((resolve) => {
      const done = (): void => {
        timer.cancel()
        waiting.delete(done)
        if (waiting.size === 0 && this.#waiting.get(key) === waiting) this.#waiting.delete(key)
        resolve()
      }
      const timer = clock.timer(done, POLL_MS, { ref: true })
      waiting.add(done)
    })
  }

  wake(key: string): void {
    for (const done of this.#waiting.get(key) ?? []) done()
  }
}
