import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { merge, type RecordState } from '@keelson/sync'
import { serverStamp } from '../src/server-stamp.ts'
import { formatStamp, parseStamp } from '../src/stamp.ts'

const NOW = 1_800_000_000_000
const DRIFT = 60_000
const at = (ms: number, node = 'd1', counter = 0): string => formatStamp({ ms, counter, node })
const time = (sentAtMs?: number) => ({ nowMs: NOW, maxDriftMs: DRIFT, sentAtMs })

function stored(h: string, fields = ['a']): RecordState {
  const set = Object.fromEntries(fields.map((field) => [field, 1]))
  const result = merge(undefined, { t: 'put', h, set }, {})
  if (result.kind !== 'applied') throw new Error(result.kind)
  return result.record
}

describe('the stamp that an operation counts with', () => {
  test('is its own while the clocks agree within two seconds', () => {
    const h = at(NOW - 5_000)
    for (const sentAt of [undefined, NOW, NOW - 2_000, NOW + 2_000]) {
      expect(serverStamp({ h }, time(sentAt), undefined, undefined)).toBe(h)
    }
  })

  test('is moved by how far the device is off', () => {
    for (const offMs of [-48 * 3_600_000, -2_001, 2_001, 48 * 3_600_000]) {
      const h = at(NOW - 5_000 - offMs)
      expect(serverStamp({ h }, time(NOW - offMs), undefined, undefined)).toBe(at(NOW - 5_000))
    }
  })

  test('is at most the drift ahead', () => {
    expect(serverStamp({ h: at(NOW + 3_600_000) }, time(NOW), undefined, undefined)).toBe(at(NOW + DRIFT))
  })

  test('is refused from a far future that nothing explains', () => {
    expect(serverStamp({ h: at(NOW + 86_400_001) }, time(), undefined, undefined)).toBeUndefined()
    expect(serverStamp({ h: at(NOW + 86_400_001) }, time(NOW), undefined, undefined)).toBe(at(NOW + DRIFT))
  })

  test('comes after what its user saw', () => {
    const seen = at(NOW - 1_000, 'other', 7)
    const op = { h: at(NOW - 9_000), seen }
    expect(serverStamp(op, time(NOW), stored(seen), undefined)).toBe(at(NOW - 1_000, 'd1', 8))
  })

  test('does not come after what nobody can have seen', () => {
    const op = { h: at(NOW - 9_000), seen: at(NOW) }
    expect(serverStamp(op, time(NOW), stored(at(NOW - 1_000, 'other')), undefined)).toBe(op.h)
    expect(serverStamp(op, time(NOW), undefined, undefined)).toBe(op.h)
  })

  test('comes after what the same device wrote there before', () => {
    const before = stored(at(NOW - 1_000), ['a', 'b'])
    expect(serverStamp({ h: at(NOW - 1_500) }, time(NOW), before, undefined)).toBe(at(NOW - 1_000, 'd1', 1))
  })

  test('keeps the order of those that are cut off', () => {
    let top: string | undefined
    const stamps = [7, 3, 9, 0].map((counter, i) => {
      const h = at(NOW + 3_600_000 + i, 'd1', counter)
      return (top = serverStamp({ h }, time(NOW), undefined, top)!)
    })
    expect(stamps).toEqual(stamps.toSorted())
    expect(new Set(stamps).size).toBe(4)
    expect(stamps.map((stamp) => parseStamp(stamp).ms)).toEqual([1, 1, 1, 1].map(() => NOW + DRIFT))
  })

  test('is never more ahead than the drift, whatever was told', () => {
    const ms = fc.integer({ min: NOW - 10 ** 9, max: NOW + 10 ** 9 })
    const top = fc.option(
      ms.map((one) => at(one)),
      { nil: undefined },
    )
    fc.assert(
      fc.property(ms, fc.option(ms, { nil: undefined }), top, (own, sentAt, top) => {
        const stamp = serverStamp({ h: at(own) }, time(sentAt), undefined, top)
        fc.pre(stamp !== undefined)
        expect(parseStamp(stamp).ms).toBeLessThanOrEqual(NOW + DRIFT)
      }),
    )
  })
})
