/** Length of a period in a calendar; weeks begin on Monday. */
export type CalendarUnit = 'hour' | 'day' | 'week' | 'month'

/** Where three periods in a row begin and the last of them ends; ms since 1970. */
export type Bounds = readonly [previous: number, current: number, next: number, end: number]

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** 1970 began on a Thursday. */
const FIRST_MONDAY_MS = 4 * DAY_MS
/** Further from a local time than any offset: Kiribati and Samoa have moved a whole day. */
const FAR_MS = 36 * HOUR_MS

/**
 * The period around an instant, with its neighbours. A period begins at the first instant at which the zone's clocks
 * show its beginning or later: the day of a change has 23 or 25 hours, an hour that clocks show twice is one period of
 * two hours, and a period that they skip is none.
 */
export function calendarBounds(unit: CalendarUnit, timeZone: string, atMs: number): Bounds {
  const zone = openZone(timeZone)
  // Local times are written as if they were UTC.
  let local = floor(unit, zone.localOf(atMs))
  // Clocks that went back over the beginning of a period show the one before again.
  for (let next = step(unit, local, 1); zone.firstAt(next) <= atMs; next = step(unit, local, 1)) local = next

  const current = zone.firstAt(local)
  const ahead = (from: number): number => {
    let next = local
    let begin: number
    do begin = zone.firstAt((next = step(unit, next, 1)))
    while (begin <= from)
    return begin
  }
  let before = local
  let previous: number
  do previous = zone.firstAt((before = step(unit, before, -1)))
  while (previous >= current)
  const next = ahead(current)
  return [previous, current, next, ahead(next)]
}

/** True for a name of the IANA database that this Node knows. */
export function isTimeZone(value: unknown): value is string {
  if (typeof value !== 'string') return false
  try {
    openZone(value)
    return true
  } catch {
    return false
  }
}

function floor(unit: CalendarUnit, localMs: number): number {
  if (unit === 'month') {
    const date = new Date(localMs)
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)
  }
  const [lengthMs, firstMs] = LENGTHS[unit]
  return Math.floor((localMs - firstMs) / lengthMs) * lengthMs + firstMs
}

function step(unit: CalendarUnit, localMs: number, by: 1 | -1): number {
  if (unit !== 'month') return localMs + by * LENGTHS[unit][0]
  const date = new Date(localMs)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + by, 1)
}

const LENGTHS = {
  hour: [HOUR_MS, 0],
  day: [DAY_MS, 0],
  week: [7 * DAY_MS, FIRST_MONDAY_MS],
} as const

interface Zone {
  /** What the zone's clocks show. */
  localOf(atMs: number): number
  /** The first instant at which they show this or later. */
  firstAt(localMs: number): number
}

const zones = new Map<string, Zone>()

function openZone(timeZone: string): Zone {
  let zone = zones.get(timeZone)
  if (zone === undefined) zones.set(timeZone, (zone = createZone(timeZone)))
  return zone
}

function createZone(timeZone: string): Zone {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })

  function localOf(atMs: number): number {
    const shown: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {}
    for (const { type, value } of format.formatToParts(atMs)) shown[type] = Number(value)
    const { year = 0, month = 1, day, hour, minute, second } = shown
    return Date.UTC(year, month - 1, day, hour, minute, second) + (((atMs % 1_000) + 1_000) % 1_000)
  }

  return {
    localOf,
    firstAt(localMs) {
      const [early, late] = [localMs - FAR_MS, localMs + FAR_MS].map((nearMs) => localMs - (localOf(nearMs) - nearMs))
      const shownAt = [early!, late!].filter((atMs) => localOf(atMs) === localMs)
      if (shownAt.length > 0) return Math.min(...shownAt)
      // Clocks skip it: the instant of their change.
      let [before, after] = [Math.min(early!, late!), Math.max(early!, late!)]
      while (after - before > 1) {
        const middle = Math.floor((before + after) / 2)
        if (localOf(middle) >= localMs) after = middle
        else before = middle
      }
      return after
    },
  }
}
