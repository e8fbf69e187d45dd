import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatStamp, isStamp, LAST_MS, nextStamp, parseStamp, shiftStamp, stampAfter } from '../src/stamp.ts'

const parts = fc.record({
  ms: fc.integer({ min: 0, max: LAST_MS }),
  counter: fc.integer({ min: 0, max: 36 ** 4 - 1 }),
  node: fc.stringMatching(/^[0-9a-z]{1,12}$/),
})

describe('a stamp', () => {
  test('is read back', () => {
    fc.assert(
      fc.property(parts, (one) => {
        expect(parseStamp(formatStamp(one))).toEqual(one)
      }),
    )
  })

  test('has the order of time in its bytes', () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const byTime = a.ms - b.ms || a.counter - b.counter
        fc.pre(byTime !== 0)
        expect(formatStamp(a) < formatStamp(b)).toBe(byTime < 0)
      }),
    )
  })

  test('comes after the one before it', () => {
    fc.assert(
      fc.property(parts, parts, ({ ms, node }, before) => {
        fc.pre(before.ms < LAST_MS)
        const last = formatStamp(before)
        const next = nextStamp(last, ms, node)
        expect(isStamp(next) && next > last && next > stampAfter('000000000-0000-0', node)).toBe(true)
        expect(parseStamp(next).ms).toBeGreaterThanOrEqual(ms)
        expect(stampAfter(last, node) > last).toBe(true)
      }),
    )
  })

  test('is none with another alphabet, or of another length', () => {
    for (const text of ['', '0lq8zk3f2-0001-', '0lq8zk3f2-0001-K3', '0LQ8zk3f2-0001-k', '0lq8zk3f2-001-k', 7, null]) {
      expect(isStamp(text)).toBe(false)
    }
    expect(isStamp('0lq8zk3f2-0001-k3')).toBe(true)
  })

  test('that is moved stays in what a stamp can tell', () => {
    const first = formatStamp({ ms: 5, counter: 3, node: 'n' })
    expect(parseStamp(shiftStamp(first, 10))).toEqual({ ms: 15, counter: 3, node: 'n' })
    expect(parseStamp(shiftStamp(first, -10)).ms).toBe(0)
    expect(parseStamp(shiftStamp(first, Number.MAX_SAFE_INTEGER)).ms).toBe(LAST_MS)
  })
})
