import fc from 'fast-check'
import { expect, test } from 'vitest'
import { packAnswer, unpackAnswer } from '../src/answer.ts'

const answers = fc.uint8Array({ maxLength: 40 })
const hints = fc.array(fc.record({ kind: fc.string(), hint: fc.jsonValue() }), { maxLength: 3 })
const read = (stored: Uint8Array) => {
  const { answer, hints } = unpackAnswer(stored)
  return { answer: Buffer.from(answer), hints }
}

test('an answer comes back with its hints, whatever it begins with, also packed again', () => {
  fc.assert(
    fc.property(answers, hints, hints, (bytes, inner, outer) => {
      const once = packAnswer(bytes, inner)
      const json = (given: unknown): unknown => JSON.parse(JSON.stringify(given))
      expect(read(once)).toEqual({ answer: Buffer.from(bytes), hints: json(inner) })
      // What begins as ours do, but is an answer.
      expect(read(packAnswer(once, outer))).toEqual({ answer: Buffer.from(once), hints: json(outer) })
    }),
  )
})

test('without hints nothing is added', () => {
  const bytes = Buffer.from('{"a":1}')
  expect(packAnswer(bytes, [])).toBe(bytes)
  expect(unpackAnswer(bytes).answer).toBe(bytes)
})

test('what ends early is corrupt', () => {
  const packed = packAnswer(Buffer.from('x'), [{ kind: 'k', hint: 1 }])
  for (const end of [packed.length - 3, 18]) {
    expect(() => unpackAnswer(packed.subarray(0, end))).toThrow(expect.objectContaining({ code: 'ANSWER_CORRUPT' }))
  }
})
