import { describe, expect, test } from 'vitest'
import { parseHttpDate, parseRetryAfter } from '@keelson/kernel/retry-after'

const NOW = Date.UTC(2026, 10, 21, 12, 0, 0)

describe('parseRetryAfter', () => {
  test.each([
    ['0', 0],
    ['1', 1_000],
    ['0120', 120_000],
    ['99999999999999999999', Number.MAX_SAFE_INTEGER],
    ['Sat, 21 Nov 2026 12:00:05 GMT', 5_000],
    ['Saturday, 21-Nov-26 12:00:05 GMT', 5_000],
    ['Sat Nov 21 12:00:05 2026', 5_000],
    ['Tue Dec  1 12:00:00 2026', 10 * 86_400_000],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 0],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
    ['Sun Nov  6 08:49:37 1994', 0],
  ])('%s', (text, expected) => expect(parseRetryAfter(text, NOW)).toBe(expected))

  test.each([
    null,
    '',
    ' ',
    '-1',
    '+1',
    '1.5',
    '1e3',
    '0x10',
    ' 5',
    '5 ',
    '5s',
    '1, 2',
    '٣',
    'soon',
    '2026-11-21T12:00:05Z',
    'Sat, 21 Nov 2026 12:00:05 UTC',
    'Sat, 21 Nov 2026 12:00:05 +0000',
    'Sat, 21 Nov 2026 12:00:05',
    'sat, 21 nov 2026 12:00:05 gmt',
    'Sun, 21 Nov 2026 12:00:05 GMT',
    'Sat, 31 Nov 2026 12:00:05 GMT',
    'Mon, 30 Feb 2026 12:00:05 GMT',
    'Sat, 21 Nov 2026 24:00:00 GMT',
    'Sat, 21 Nov 2026 12:60:00 GMT',
    'Sat, 21 Nov 2026 12:00:61 GMT',
    'Sat, 21 Nob 2026 12:00:05 GMT',
    'Sat, 1 Nov 2026 12:00:05 GMT',
    'Sat, 21-Nov-26 12:00:05 GMT',
    'Saturday, 21-Nov-2026 12:00:05 GMT',
    'Sat Nov 1 12:00:05 2026',
    'Sat Nov 21 12:00:05 2026 GMT',
    'Sat, 21 Nov 2026 12:00:05 GMT, 7',
  ])('%s is nothing', (text) => expect(parseRetryAfter(text, NOW)).toBeUndefined())

  test('a year with two digits is at most 50 years ahead, also at the turn of a century', () => {
    const year = (digits: string, nowMs: number, day: string): number =>
      new Date(parseHttpDate(`${day}, 01-Jan-${digits} 00:00:00 GMT`, nowMs)!).getUTCFullYear()
    expect(year('76', NOW, 'Wednesday')).toBe(2076)
    expect(year('77', NOW, 'Saturday')).toBe(1977)
    expect(year('01', Date.UTC(2099, 0), 'Saturday')).toBe(2101)
  })

  test('a leap second is a second, and years before 100 are themselves', () => {
    expect(parseHttpDate('Sat, 31 Dec 2016 23:59:60 GMT', NOW)).toBe(Date.UTC(2017, 0))
    expect(new Date(parseHttpDate('Sat, 01 Jan 0000 00:00:00 GMT', NOW)!).getUTCFullYear()).toBe(0)
  })
})
