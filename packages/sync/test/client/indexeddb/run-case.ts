import type { Tools } from '@keelson/kernel/conformance'
import { indexedDbStore } from '@keelson/sync/client/indexeddb'
import { syncClientStoreSuite } from '../../../src/conformance/sync-client-store-suite.ts'
import type { ClientStoreUnderTest } from '../../../src/conformance/client-store-under-test.ts'

let places = 0

/** One case of the suite, in this tab: 'tabs' are handles of one name. `has` must be what the test asks for. */
export async function runCase(name: string, has: readonly string[], seed: number): Promise<void> {
  const found = syncClientStoreSuite.cases.find((each) => each.name === name)!
  const place = `${name} ${places++}`
  const subject: ClientStoreUnderTest = { open: async () => indexedDbStore(place) }
  await found.run(subject, toolsOf(has, seed))
}

/** Those of the kernel compare and print by `node:`. */
function toolsOf(has: readonly string[], seed: number): Tools {
  const fail = (message: string): never => {
    throw new Error(`${message} (seed ${seed})`)
  }
  let state = seed
  return {
    seed,
    has,
    random() {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return state / 2 ** 32
    },
    equal(actual, expected, why = '') {
      if (!same(actual, expected)) fail(`${why} expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`)
    },
    ok(value, why = 'it is not so') {
      if (!value) fail(why)
    },
    async rejects(promise, code) {
      const found = await promise.then(
        () => 'nothing',
        (error: { code?: unknown }) => error.code,
      )
      if (found !== code) fail(`expected ${code}, got ${JSON.stringify(found)}`)
    },
    together: (n, call) => Promise.all(Array.from({ length: n }, (_, i) => call(i))),
  }
}

/** Of values of JSON, which has one zero, and undefined. */
function same(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const [keys, others] = [Object.keys(a), Object.keys(b)]
  const at = (value: object, key: string): unknown => (value as Record<string, unknown>)[key]
  return keys.length === others.length && keys.every((key) => Object.hasOwn(b, key) && same(at(a, key), at(b, key)))
}
