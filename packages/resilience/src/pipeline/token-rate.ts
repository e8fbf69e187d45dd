/** A local token bucket: at most `burst` at once, and `limit` in `perMs` in the long run. */
export class TokenRate {
  readonly #burst: number
  readonly #perMs: number
  #tokens: number
  #atMs = 0

  constructor(limit: number, perMs: number, burst: number) {
    this.#burst = burst
    this.#perMs = limit / perMs
    this.#tokens = burst
  }

  take(nowMs: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, nowMs - this.#atMs) * this.#perMs)
    this.#atMs = nowMs
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  /** Of a call that was refused by somebody else. */
  giveBack(): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + 1)
  }

  /** Ms until the next token. */
  retryAfterMs(nowMs: number): number {
    const tokens = this.#tokens + (nowMs - this.#atMs) * this.#perMs
    return tokens >= 1 ? 0 : Math.ceil((1 - tokens) / this.#perMs)
  }
}
