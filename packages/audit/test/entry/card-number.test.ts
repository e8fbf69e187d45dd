import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { withoutCards } from '../../src/entry/card-number.ts'
import { cardNumbers, spacedCards } from './support.ts'

test('each issuer has its ranges and lengths', () => {
  fc.assert(
    fc.property(spacedCards, (card) => {
      const last = card.replaceAll(/\D/g, '').slice(-4)
      expect(withoutCards(card)).toBe(`[pan:${last}]`)
      expect(withoutCards(`Card (${card}), please.`)).toBe(`Card ([pan:${last}]), please.`)
    }),
  )
})

test('a wrong check digit makes it a number like others', () => {
  fc.assert(
    fc.property(cardNumbers, fc.integer({ min: 1, max: 9 }), (card, more) => {
      const wrong = card.slice(0, -1) + String((Number(card.at(-1)) + more) % 10)
      expect(withoutCards(wrong)).toBe(wrong)
    }),
  )
})

// Test numbers that the networks publish.
test.each([
  '4111111111111111',
  '4222222222222',
  '5555555555554444',
  '2223003122003222',
  '378282246310005',
  '6011111111111117',
  '3530111333300000',
  '30569309025904',
  '6200000000000005',
  '6759649826438453',
])('%s is a card number', (card) => {
  expect(withoutCards(card)).toBe(`[pan:${card.slice(-4)}]`)
})

describe('its neighbours', () => {
  test.each([
    ['a4111111111111111', 'a letter in front'],
    ['4111111111111111Z', 'a letter behind'],
    ['41111111111111110', 'one more digit'],
    ['4111  1111 1111 1111', 'two spaces'],
    ['4111.1111.1111.1111', 'dots'],
    ['4111-1111-1111-1112', 'a wrong check digit'],
    ['411111111111111', 'a length that is not the issuer’s'],
    ['7111111111111114', 'no issuer'],
    ['1763780000000', 'an instant in ms'],
    ['1763780000000000', 'an instant in µs'],
    ['1763780000000000000', 'an instant in ns'],
    ['41111111-1111-4111-8aaa-aaaaaaaaaaaa', 'a UUID'],
    ['e4111111-1111-1111-8111-111111111111', 'a UUID'],
  ])('%s is none: %s', (text) => {
    expect(withoutCards(text)).toBe(text)
  })

  test.each([
    ['12 4111 1111 1111 1111', '12 [pan:1111]'],
    ['a12 4111 1111 1111 1111', 'a12 [pan:1111]'],
    ['4111 1111 1111 1111 12a', '[pan:1111] 12a'],
    ['4111111111111111-', '[pan:1111]-'],
    ['-4111111111111111', '-[pan:1111]'],
    ['order_4111111111111111', 'order_[pan:1111]'],
    ['4111111111111111.5', '[pan:1111].5'],
    ['4111111111111111,378282246310005', '[pan:1111],[pan:0005]'],
    ['4111111111111111 378282246310005', '[pan:1111] [pan:0005]'],
    ['é4111111111111111', 'é[pan:1111]'],
    // One of ten security codes makes a longer number of it.
    ['4111 1111 1111 1111 110', '[pan:1110]'],
  ])('%s', (text, clean) => {
    expect(withoutCards(text)).toBe(clean)
  })
})

test('text around and between stays, and what is left has none', () => {
  const plain = fc.string({ unit: fc.constantFrom('a', ' ', '-', '.', '/', 'ü', '(') })
  fc.assert(
    fc.property(fc.array(fc.tuple(plain, spacedCards)), plain, (parts, end) => {
      const text = parts.map(([before, card]) => `${before}.${card}.`).join('') + end
      const clean = parts.map(([before, card]) => `${before}.[pan:${card.replaceAll(/\D/g, '').slice(-4)}].`)
      expect(withoutCards(text)).toBe(clean.join('') + end)
      expect(withoutCards(withoutCards(text))).toBe(withoutCards(text))
    }),
  )
})

test('long texts take no longer for their digits', () => {
  for (const text of [
    '4'.repeat(1_000_000),
    '4 '.repeat(500_000),
    '4-'.repeat(500_000),
    '4111111111111112 '.repeat(60_000),
  ]) {
    expect(withoutCards(text).length).toBeLessThanOrEqual(text.length)
  }
})
