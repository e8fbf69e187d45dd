import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fingerprintOf } from '@keelson/idempotency'
import { canonicalJson } from '../src/canonical-json.ts'

const json = fc.jsonValue()
const hex = (value: unknown): string => Buffer.from(fingerprintOf(value).digest).toString('hex')

/** The same value with the members of every object in another order. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, inner]) => [name, shuffled(inner)]),
  )
}

test('the example of RFC 8785, section 3.2.2', () => {
  const input = {
    numbers: [333333333.33333329, 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
    string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
    literals: [null, true, false],
  }
  expect(canonicalJson(input)).toBe(
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  )
})

test('members are sorted by UTF-16 code units, as in RFC 8785, section 3.2.3', () => {
  const names = ['\u20ac', '\r', '\ufb33', '1', '\ud83d\ude00', '\u0080', '\u00f6']
  const sorted = ['\r', '1', '\u0080', '\u00f6', '\u20ac', '\ud83d\ude00', '\ufb33']
  const object = Object.fromEntries(names.map((name) => [name, 0]))
  expect(Object.keys(JSON.parse(canonicalJson(object)) as object).toSorted()).toEqual(sorted.toSorted())
  expect(canonicalJson(object)).toBe(`{${sorted.map((name) => `${JSON.stringify(name)}:0`).join(',')}}`)
})

test('it is JSON that reads back as the value', () => {
  fc.assert(
    fc.property(json, (value) => {
      const text = canonicalJson(value)
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      expect(canonicalJson(JSON.parse(text))).toBe(text)
    }),
  )
})

test('another order of members is the same fingerprint, another leaf is another', () => {
  fc.assert(
    fc.property(json, json, (a, b) => {
      expect(hex(shuffled(a))).toBe(hex(a))
      expect(hex(a) === hex(b)).toBe(
        JSON.stringify(shuffled(JSON.parse(canonicalJson(a)))) ===
          JSON.stringify(shuffled(JSON.parse(canonicalJson(b)))),
      )
    }),
  )
})

test('members that are undefined are absent, as in JSON', () => {
  expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}')
})

test("an instance of the application's own class is data", () => {
  class Order {
    sku = 'tea'
  }
  expect(canonicalJson(new Order())).toBe('{"sku":"tea"}')
})
