import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonical, type Json } from '@keelson/sync'
import { compareBytes } from '../src/canonical.ts'
import { jsonFault } from '../src/json.ts'

const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)])

describe('the content of a field', () => {
  test.each<[unknown, string]>([
    ['a\u0000b', 'a text has U+0000'],
    ['\ud800', 'a text has a lone surrogate'],
    [{ '\udc00': 1 }, 'a text has a lone surrogate'],
    [2 ** 53, 'an integer is over 2^53'],
    [1e21, 'an integer is over 2^53'],
    [Infinity, 'a number is not finite'],
    [[1, [NaN]], 'a number is not finite'],
    [JSON.parse('{"a":{"__proto__":1}}'), '__proto__ is no name'],
    [undefined, 'undefined is no JSON'],
    [{ a: undefined }, 'undefined is no JSON'],
    // oxlint-disable-next-line no-sparse-arrays -- what is tested
    [[1, , 2], 'undefined is no JSON'],
    [1n, 'bigint is no JSON'],
    [new Date(0), 'an object is not a plain one'],
    [new Map(), 'an object is not a plain one'],
    [deep(101), 'it is nested over 100 deep'],
  ])('cannot be %o', (value, fault) => {
    expect(jsonFault(value)).toBe(fault)
  })

  test('can be any other JSON', () => {
    expect(
      [null, true, 0, -0.5, 2 ** 53 - 1, 'ü😀', [], {}, deep(100), Object.create(null)].map((one) => jsonFault(one)),
    ).toEqual(Array(10).fill(undefined))
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        fc.pre(!JSON.stringify(value).includes('\\u0000') && !/__proto__|e\+/.test(JSON.stringify(value)))
        fc.pre(JSON.stringify(value).isWellFormed())
        const fault = jsonFault(value)
        expect(
          fault === undefined || fault === 'an integer is over 2^53' || fault === 'a text has a lone surrogate',
        ).toBe(true)
      }),
    )
  })
})

describe('canonical()', () => {
  test('sorts names and writes no blanks', () => {
    expect(canonical({ b: [1, { d: null, c: 'x"y' }], a: 1.5 })).toBe('{"a":1.5,"b":[1,{"c":"x\\"y","d":null}]}')
  })

  test('is one text for equal values, and is read back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonical(value as Json)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
        expect(canonical(JSON.parse(text) as Json)).toBe(text)
      }),
    )
  })

  test('has the order of its bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
      }),
      {
        examples: [
          ['\uffff', '😀'],
          ['a\ue000', 'a\u{10000}b'],
        ],
      },
    )
  })
})
