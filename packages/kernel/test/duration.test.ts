import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ms, type Duration } from '../src/index.ts'

test.each<[Duration, number]>([
  [0, 0],
  [250, 250],
  [0.5, 0.5],
  ['250ms', 250],
  ['5s', 5_000],
  ['1.5s', 1_500],
  ['10m', 600_000],
  ['24h', 86_400_000],
  ['7d', 604_800_000],
  ['30d', 2_592_000_000],
])('%s is %d ms', (duration, expected) => {
  expect(ms(duration)).toBe(expected)
})

const wrong: [unknown, string][] = [
  ['5 s', "'5 s'"],
  ['-1s', "'-1s'"],
  ['+1s', "'+1s'"],
  ['1w', "'1w'"],
  ['1S', "'1S'"],
  ['1e3s', "'1e3s'"],
  ['.5s', "'.5s'"],
  ['5', "'5'"],
  ['', "''"],
  ['s', "'s'"],
  ['5s\n', "'5s\\u000a'"],
  [`${'9'.repeat(400)}d`, `'${'9'.repeat(57)}...'`],
  [-1, '-1'],
  [NaN, 'NaN'],
  [Infinity, 'Infinity'],
  [null, 'null'],
  [undefined, 'undefined'],
  [true, 'true'],
  [5n, '5'],
  [Symbol('s'), 'Symbol(s)'],
  [{}, 'an object'],
  [[5], 'an array of 1'],
  [() => 5, 'a function'],
]

test.each(wrong)('%o is no Duration, and the error says so on one line', (duration, got) => {
  expect(() => ms(duration as Duration, 'lease')).toThrow(
    expect.objectContaining({
      name: 'KernelError',
      code: 'OPTION_INVALID',
      retryable: false,
      message: `"lease" must be a Duration such as 250, '250ms', '5s' (got ${got})`,
    }),
  )
})

test('every whole number in every unit is read exactly', () => {
  const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
  const unit = fc.constantFrom(...(Object.keys(units) as (keyof typeof units)[]))
  fc.assert(
    fc.property(fc.nat({ max: 1_000_000 }), unit, (count, name) => ms(`${count}${name}`) === count * units[name]),
  )
})
