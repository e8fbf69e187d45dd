import { expect, test } from 'vitest'
import { isEventType, isTypePattern, matchesType } from '../src/patterns.ts'

test.each([
  ['**', 'a', true],
  ['**', 'a.b.c', true],
  ['a', 'a', true],
  ['a', 'a.b', false],
  ['a.b', 'a', false],
  ['a.b', 'a.b', true],
  ['a.b', 'a.c', false],
  ['*', 'a', true],
  ['*', 'a.b', false],
  ['a.*', 'a.b', true],
  ['a.*', 'a', false],
  ['a.*', 'a.b.c', false],
  ['*.b', 'a.b', true],
  ['*.b', 'a.c', false],
  ['a.*.c', 'a.b.c', true],
  ['a.*.c', 'a.b.d', false],
  ['a.**', 'a', false],
  ['a.**', 'a.b', true],
  ['a.**', 'a.b.c', true],
  ['a.**', 'b.b.c', false],
  ['*.**', 'a', false],
  ['*.**', 'a.b.c', true],
  ['a', 'A', false],
  ['__proto__', '__proto__', true],
  ['constructor.*', 'constructor.name', true],
])('%s against %s: %s', (pattern, type, says) => {
  expect(matchesType(pattern, type)).toBe(says)
})

test('what a type and a pattern may be', () => {
  for (const type of ['a', 'a.b', 'A_b-9.c', '__proto__', 'x'.repeat(128)]) {
    expect(isEventType(type)).toBe(true)
    expect(isTypePattern(type)).toBe(true)
  }
  for (const type of [
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    'a b',
    'ä',
    'a\n',
    'x'.repeat(129),
    'a/b',
    null,
    undefined,
    1,
    ['a'],
  ]) {
    expect(isEventType(type)).toBe(false)
    expect(isTypePattern(type)).toBe(false)
  }
  for (const pattern of ['*', '**', 'a.*', '*.a', 'a.**', '*.**']) {
    expect(isEventType(pattern)).toBe(false)
    expect(isTypePattern(pattern)).toBe(true)
  }
  for (const pattern of ['**.a', 'a*', '***', 'a.**.b', '*a', 'a.*b']) expect(isTypePattern(pattern)).toBe(false)
})
