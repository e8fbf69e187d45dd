import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { calendarBounds, isTimeZone, type CalendarUnit } from '../../src/limiter/calendar.ts'

const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z')
/** The period around an instant, and its length in hours. */
function period(unit: CalendarUnit, zone: string, at: string): [begin: string, end: string, hours: number] {
  const [, begin, end] = calendarBounds(unit, zone, Date.parse(at))
  return [iso(begin), iso(end), (end - begin) / 3_600_000]
}

describe('a day lasts as long as the zone says', () => {
  test.each<[zone: string, at: string, begin: string, end: string, hours: number]>([
    ['UTC', '2026-03-29T12:00:00Z', '2026-03-29T00:00:00Z', '2026-03-30T00:00:00Z', 24],
    ['Europe/Berlin', '2026-03-29T12:00:00Z', '2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z', 23],
    ['Europe/Berlin', '2026-10-25T00:30:00Z', '2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z', 25],
    ['America/New_York', '2026-03-08T12:00:00Z', '2026-03-08T05:00:00Z', '2026-03-09T04:00:00Z', 23],
    ['America/New_York', '2026-11-01T05:30:00Z', '2026-11-01T04:00:00Z', '2026-11-02T05:00:00Z', 25],
    ['Australia/Lord_Howe', '2026-04-05T00:00:00Z', '2026-04-04T13:00:00Z', '2026-04-05T13:30:00Z', 24.5],
    ['Australia/Lord_Howe', '2026-10-04T00:00:00Z', '2026-10-03T13:30:00Z', '2026-10-04T13:00:00Z', 23.5],
    ['Asia/Kathmandu', '2026-06-01T00:00:00Z', '2026-05-31T18:15:00Z', '2026-06-01T18:15:00Z', 24],
    // Its clocks had no 30 December: the 31st follows the 29th.
    ['Pacific/Apia', '2011-12-30T09:59:59Z', '2011-12-29T10:00:00Z', '2011-12-30T10:00:00Z', 24],
    ['Pacific/Apia', '2011-12-30T10:00:00Z', '2011-12-30T10:00:00Z', '2011-12-31T10:00:00Z', 24],
    // Midnight itself is skipped: the day begins at one.
    ['America/Sao_Paulo', '2018-11-04T12:00:00Z', '2018-11-04T03:00:00Z', '2018-11-05T02:00:00Z', 23],
    // Clocks go back from midnight to eleven: the day before is longer.
    ['America/Sao_Paulo', '2018-02-18T02:30:00Z', '2018-02-17T02:00:00Z', '2018-02-18T03:00:00Z', 25],
    // They went back at one minute past midnight, to the day before: what has begun goes on.
    ['America/St_Johns', '2010-11-07T02:45:00Z', '2010-11-07T02:30:00Z', '2010-11-08T03:30:00Z', 25],
  ])('%s at %s', (zone, at, ...expected) => {
    expect(period('day', zone, at)).toEqual(expected)
  })
})

describe('hours, weeks and months', () => {
  test.each<[unit: CalendarUnit, zone: string, at: string, begin: string, end: string, hours: number]>([
    ['hour', 'Asia/Kathmandu', '2026-06-01T00:00:00Z', '2026-05-31T23:15:00Z', '2026-06-01T00:15:00Z', 1],
    ['hour', 'Europe/Berlin', '2026-03-29T01:30:00Z', '2026-03-29T01:00:00Z', '2026-03-29T02:00:00Z', 1],
    // Clocks show the hour from two to three twice.
    ['hour', 'Europe/Berlin', '2026-10-25T01:30:00Z', '2026-10-25T00:00:00Z', '2026-10-25T02:00:00Z', 2],
    ['hour', 'Australia/Lord_Howe', '2026-04-04T15:10:00Z', '2026-04-04T14:00:00Z', '2026-04-04T15:30:00Z', 1.5],
    ['hour', 'Australia/Lord_Howe', '2026-10-03T15:40:00Z', '2026-10-03T15:30:00Z', '2026-10-03T16:00:00Z', 0.5],
    ['week', 'Europe/Berlin', '2026-03-29T12:00:00Z', '2026-03-22T23:00:00Z', '2026-03-29T22:00:00Z', 167],
    ['week', 'UTC', '1970-01-01T00:00:00Z', '1969-12-29T00:00:00Z', '1970-01-05T00:00:00Z', 168],
    ['month', 'Europe/Berlin', '2026-03-15T00:00:00Z', '2026-02-28T23:00:00Z', '2026-03-31T22:00:00Z', 743],
    ['month', 'America/New_York', '2024-03-01T04:59:59Z', '2024-02-01T05:00:00Z', '2024-03-01T05:00:00Z', 696],
    ['month', 'UTC', '2026-12-31T23:59:59Z', '2026-12-01T00:00:00Z', '2027-01-01T00:00:00Z', 744],
  ])('%s, %s at %s', (unit, zone, at, ...expected) => {
    expect(period(unit, zone, at)).toEqual(expected)
  })
})

test('periods follow each other without a gap, and every instant is in its own', () => {
  const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Pacific/Apia']
  const zone = fc.constantFrom(...zones, 'America/Sao_Paulo', 'America/St_Johns', 'Africa/Cairo', 'Asia/Beirut')
  const near = fc.constantFrom(
    Date.UTC(2011, 11, 30),
    Date.UTC(2018, 1, 18),
    Date.UTC(2010, 10, 7),
    Date.UTC(2026, 2, 29),
  )
  const at = fc.oneof(
    fc.integer({ min: Date.UTC(1990, 0), max: Date.UTC(2035, 0) }),
    fc.tuple(near, fc.integer({ min: -172_800_000, max: 172_800_000 })).map(([a, b]) => a + b),
  )
  const unit = fc.constantFrom<CalendarUnit>('hour', 'day', 'week', 'month')
  fc.assert(
    fc.property(unit, zone, at, (unit, zone, at) => {
      const [previous, current, next, end] = calendarBounds(unit, zone, at)
      expect(previous).toBeLessThan(current)
      expect(current).toBeLessThanOrEqual(at)
      expect(at).toBeLessThan(next)
      expect(next).toBeLessThan(end)
      expect(calendarBounds(unit, zone, current).slice(1, 3)).toEqual([current, next])
      expect(calendarBounds(unit, zone, next - 1).slice(1, 3)).toEqual([current, next])
      expect(calendarBounds(unit, zone, next).slice(0, 3)).toEqual([current, next, end])
      expect(calendarBounds(unit, zone, current - 1).slice(1, 3)).toEqual([previous, current])
    }),
    { numRuns: process.env['LONG'] === '1' ? 20_000 : 500 },
  )
})

test('a zone is one that this Node knows', () => {
  expect(['Europe/Berlin', 'UTC', 'Europe/Bonn', '', 5, undefined].map(isTimeZone)).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ])
})
