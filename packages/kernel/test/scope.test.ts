import { expect, test } from 'vitest'
import { isPlainText, isScope } from '../src/index.ts'

test.each([
  ['one byte', 'm'],
  ['128 bytes', 'x'.repeat(128)],
  ['128 bytes in 64 characters', 'é'.repeat(64)],
  ['128 bytes in 32 pairs of surrogates', '🚢'.repeat(32)],
  ['spaces and punctuation', 'Merchant #1: "Bär & Co."'],
  ['what is spelled out to share', 'public'],
])('%s is a scope', (_, scope) => {
  expect(isScope(scope)).toBe(true)
})

test.each([
  ['empty text', ''],
  ['129 bytes', 'x'.repeat(129)],
  ['130 bytes in 65 characters', 'é'.repeat(65)],
  ['a null character', 'a\u0000'],
  ['a line break', 'a\nb'],
  ['DEL', 'a\u007f'],
  ['a C1 control', 'a\u0085'],
  ['a high surrogate alone', 'a\ud83d'],
  ['a low surrogate alone', '\udea2a'],
  ['a number', 7],
  ['undefined', undefined],
  ['null', null],
  ['a String object', new String('m')],
])('%s is no scope', (_, scope) => {
  expect(isScope(scope)).toBe(false)
})

test('plain text has any length but neither controls nor lone surrogates', () => {
  expect([isPlainText(''), isPlainText('x'.repeat(1_000)), isPlainText('a\tb'), isPlainText('\ud800')]).toEqual([
    true,
    true,
    false,
    false,
  ])
})
