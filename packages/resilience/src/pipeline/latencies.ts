/** Two buckets to an octave from a microsecond on: 36 minutes at the other end, within a fifth. */
const BUCKETS = 64
/** What is remembered: older samples weigh half each time that so many newer ones have come. */
const MEMORY = 1024

/** Upper bounds of the buckets in ms. */
export const LATENCY_BOUNDS_MS: readonly number[] = Array.from(
  { length: BUCKETS },
  (_, bucket) => boundUs(bucket) / 1000,
)

function boundUs(bucket: number): number {
  const octave = bucket >> 1
  return (bucket & 1) === 0 ? 1.5 * 2 ** octave : 2 ** (octave + 1)
}

/** How long calls take, in logarithmic buckets: no sample is kept. */
export class Latencies {
  /** Since the start. */
  readonly counts: Float64Array = new Float64Array(BUCKETS)
  readonly sumMs: Float64Array = new Float64Array(1)
  readonly #recent = new Uint32Array(BUCKETS)
  #total = 0
  #median = -1

  add(latencyMs: number): void {
    const us = Math.min(latencyMs * 1000, 2 ** 31 - 1) | 0
    const octave = us < 2 ? 0 : 31 - Math.clz32(us)
    const bucket = 2 * octave + (octave === 0 ? 0 : (us >>> (octave - 1)) & 1)
    this.counts[bucket]!++
    this.sumMs[0]! += latencyMs
    this.#recent[bucket]!++
    this.#median = -1
    if (++this.#total === MEMORY) this.#halve()
  }

  /** A share of the latest calls took no longer, in ms; 0 while nothing is known. */
  quantileMs(share: number): number {
    let left = share * this.#total
    if (this.#total === 0) return 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#recent[bucket]!
      if (left <= 0) return LATENCY_BOUNDS_MS[bucket]!
    }
    return LATENCY_BOUNDS_MS[BUCKETS - 1]!
  }

  medianMs(): number {
    if (this.#median < 0) this.#median = this.quantileMs(0.5)
    return this.#median
  }

  #halve(): void {
    this.#total = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.#total += this.#recent[bucket]! >>>= 1
  }
}
