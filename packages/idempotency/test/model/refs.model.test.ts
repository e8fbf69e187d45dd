import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createIdempotency, fingerprintOf, memoryStore, unwrap, type Ref } from '@keelson/idempotency'

const RUNS = process.env['LONG'] === '1' ? 1_000 : 100

// Few and short, so that one text is often a part of another.
const text = fc.string({ minLength: 1, maxLength: 2, unit: fc.constantFrom('a', 'b', ':', '1') })
const refs: fc.Arbitrary<Ref[]> = fc.uniqueArray(
  fc.record({ scope: text, op: text, key: text, by: text }, { requiredKeys: ['scope', 'op', 'key'] }),
  { minLength: 2, maxLength: 8, selector: ({ scope, op, key, by }) => JSON.stringify([scope, op, key, by]) },
)

test('scopes, operations, keys and principals never meet: each ref has its own run and its own answer', async () => {
  await fc.assert(
    fc.asyncProperty(refs, async (all) => {
      await using idempotency = createIdempotency({ store: memoryStore() })
      const nameOf = (ref: Ref): string => JSON.stringify(ref)
      for (const kind of ['executed', 'replayed'] as const) {
        const outcomes = await Promise.all(all.map((ref) => idempotency.run(ref, async () => nameOf(ref))))
        expect(outcomes.map((outcome) => outcome.ok && outcome.kind)).toEqual(all.map(() => kind))
        expect(outcomes.map(unwrap)).toEqual(all.map(nameOf))
      }
    }),
    { numRuns: RUNS },
  )
})

const codec = { encode: (value: Uint8Array) => value, decode: (stored: Uint8Array) => new Uint8Array(stored) }

test('a replay equals the original, for arbitrary bytes', async () => {
  await using idempotency = createIdempotency({ store: memoryStore() })
  let calls = 0
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), async (bytes) => {
      const call = { scope: 'm1', op: 'GET /file', key: `key-${calls++}`, codec }
      expect(unwrap(await idempotency.run(call, async () => bytes))).toEqual(bytes)
      expect(unwrap(await idempotency.run(call, async () => new Uint8Array(0)))).toEqual(bytes)
    }),
    { numRuns: RUNS },
  )
})

type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

/** The value with another leaf at the so many-th place, and how many leaves there are. */
function withLeaf(value: Json, at: number, leaf: Json): { value: Json; leaves: number } {
  const isTree = typeof value === 'object' && value !== null && Object.keys(value).length > 0
  if (!isTree) return { value: at === 0 ? leaf : value, leaves: 1 }
  let leaves = 0
  const entries = Object.entries(value).map(([name, inner]): [string, Json] => {
    const changed = withLeaf(inner, at - leaves, leaf)
    leaves += changed.leaves
    return [name, changed.value]
  })
  return { value: Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries), leaves }
}

const hex = (value: Json): string => Buffer.from(fingerprintOf(value).digest).toString('hex')

test('another leaf, at whatever depth, is another fingerprint', () => {
  const json = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<Json>
  fc.assert(
    fc.property(json, fc.nat(), (value, anywhere) => {
      const { leaves } = withLeaf(value, -1, null)
      expect(hex(withLeaf(value, -1, null).value)).toBe(hex(value))
      expect(hex(withLeaf(value, anywhere % leaves, 'no such leaf').value)).not.toBe(hex(value))
    }),
    { numRuns: RUNS },
  )
})
