const COUNTERS_PER_WORD = 8
/** Of 4 bits. */
const MAX_COUNT = 15
/** All counters with their lowest bit away, after they were shifted by one. */
const HALVED = 0x7777_7777
const ROWS = 4
/** So many counts per entry, and all are halved: what was popular long ago gives way. */
const SAMPLES_PER_ENTRY = 5

/** About how often something was seen of late: a count-min sketch of 4-bit counters, 8 for each entry, that age. */
export class FrequencySketch {
  readonly #words: Uint32Array
  readonly #mask: number
  readonly #sampleSize: number
  #samples = 0

  /** `entries`: of how many it shall tell well. */
  constructor(entries: number) {
    const words = 2 ** Math.ceil(Math.log2(Math.max(entries, 8)))
    this.#words = new Uint32Array(words)
    this.#mask = words * COUNTERS_PER_WORD - 1
    this.#sampleSize = SAMPLES_PER_ENTRY * Math.max(entries, 8)
  }

  /** Of a 32-bit hash. 0 to 15, never too low since the last aging. */
  count(hash: number): number {
    const step = stepOf(hash)
    let least = MAX_COUNT
    for (let row = 0; row < ROWS; row++) {
      const at = (hash + row * step) & this.#mask
      const counter = (this.#words[at >>> 3]! >>> ((at & 7) << 2)) & MAX_COUNT
      if (counter < least) least = counter
    }
    return least
  }

  /** Sees it `times` more. */
  add(hash: number, times: number): void {
    const step = stepOf(hash)
    for (let row = 0; row < ROWS; row++) {
      const at = (hash + row * step) & this.#mask
      const shift = (at & 7) << 2
      const word = this.#words[at >>> 3]!
      const counter = (word >>> shift) & MAX_COUNT
      const more = Math.min(times, MAX_COUNT - counter)
      this.#words[at >>> 3] = word + (more << shift)
    }
    this.#samples += times
    if (this.#samples >= this.#sampleSize) this.#age()
  }

  #age(): void {
    for (let i = 0; i < this.#words.length; i++) this.#words[i] = (this.#words[i]! >>> 1) & HALVED
    this.#samples >>>= 1
  }
}

/** Odd: the rows of one hash are four counters. */
function stepOf(hash: number): number {
  return (Math.imul(hash, 0x9e37_79b1) >>> 7) | 1
}
