import fc from 'fast-check'
import { expect, test } from 'vitest'
import { digestRef, digestSubject, type Ref } from '../src/ref.ts'

const text = fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom('a', 'b', ':', '1', '\u00e9') })
const ref: fc.Arbitrary<Ref> = fc.record(
  { scope: text, op: text, key: text, by: text },
  { requiredKeys: ['scope', 'op', 'key'] },
)
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const parts = ({ scope, op, key, by }: Ref): unknown[] => [scope, op, key, by]

test('two refs share a digest only when they are equal, however their parts are cut', () => {
  fc.assert(
    fc.property(ref, ref, (a, b) => {
      expect(digestRef(a)).toHaveLength(16)
      expect(hex(digestRef(a)) === hex(digestRef(b))).toBe(JSON.stringify(parts(a)) === JSON.stringify(parts(b)))
    }),
    { numRuns: 1000 },
  )
})

test('a character that moves from one part to the next makes another ref', () => {
  const digests = [
    digestRef({ scope: 'm1', op: 'ab', key: 'c' }),
    digestRef({ scope: 'm1', op: 'a', key: 'bc' }),
    digestRef({ scope: 'm1a', op: 'b', key: 'c' }),
    digestRef({ scope: 'm1', op: 'a', key: 'b', by: 'c' }),
    digestSubject('m1', 'abc'),
  ]
  expect(new Set(digests.map(hex)).size).toBe(5)
})
