import { fail, ok } from 'node:assert/strict'
import { inspect, isDeepStrictEqual } from 'node:util'
import { seededRandom } from '../testing/seeded-random.ts'

/** What a case works with, the same under every test runner. */
export interface Tools {
  /** Of `random`; named by a failure, and an option of `runSuite`. */
  readonly seed: number
  /** What the subject says that it can do. */
  readonly has: readonly string[]
  /** In [0, 1); the same sequence for the same seed and case. */
  random(): number
  /** Deep and strict: types and prototypes count, so compare bytes as `[...bytes]`. */
  equal(actual: unknown, expected: unknown, why?: string): void
  ok(value: unknown, why?: string): void
  /** `promise` rejects with an error of this `code`. */
  rejects(promise: Promise<unknown>, code: string): Promise<void>
  /** Starts `n` calls before it awaits the first; their results, in the order of `i`, counted from 0. */
  together<R>(n: number, call: (i: number) => Promise<R>): Promise<R[]>
}

/** The tools of one case. */
export function createTools(seed: number, has: readonly string[]): Tools {
  return {
    seed,
    has,
    random: seededRandom(seed),
    equal,
    ok,
    async rejects(promise, code) {
      const found = await promise.then(
        (value) => fail(`expected ${code}, but it resolved with ${String(value)}`),
        (error: unknown) => error,
      )
      const actual = (found as { code?: unknown } | null | undefined)?.code
      if (actual !== code) fail(`expected ${code}, but it rejected with ${String(actual)}: ${String(found)}`)
    },
    together: (n, call) => Promise.all(Array.from({ length: n }, (_, i) => call(i))),
  }
}

/** In words, not line by line as node:assert and runners do it: for some kB of bytes that takes minutes. */
function equal(actual: unknown, expected: unknown, why?: string): void {
  if (isDeepStrictEqual(actual, expected)) return
  fail(`${why === undefined ? '' : `${why}: `}expected ${shown(expected)}\nbut got ${shown(actual)}`)
}

function shown(value: unknown): string {
  return inspect(value, { depth: 10, maxStringLength: 1_000 })
}
