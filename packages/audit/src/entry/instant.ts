import { types } from 'node:util'

/** RFC 3339, section 5.6: with the offset, or nobody knows when it was. */
const TEXT =
  /^(\d{4})-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/
const MAX_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

/** What an instant may be, for errors. */
export const instantAllowed = "a Date, whole ms, or a text such as '2026-01-31T12:00:00Z', from 1970 to 9999"

/** Whole ms since the epoch; undefined if it is none. */
export function instantOf(given: unknown): number | undefined {
  const ms =
    typeof given === 'string' ? ofText(given) : types.isDate(given) ? Date.prototype.getTime.call(given) : given
  return typeof ms === 'number' && Number.isInteger(ms) && ms >= 0 && ms <= MAX_MS ? ms : undefined
}

function ofText(text: string): number | undefined {
  const [, year, month, day] = TEXT.exec(text) ?? []
  // Date takes February 30 for March 2.
  const last = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate()
  return Number(day) >= 1 && Number(day) <= last && Number(month) >= 1 ? Date.parse(text.toUpperCase()) : undefined
}

let lastSecond = -1
let lastText = ''

/** As `toISOString()` writes it. Entries come many a second, and most of it is the same in all of them. */
export function instantText(ms: number): string {
  const second = Math.floor(ms / 1_000)
  if (second !== lastSecond) {
    lastText = new Date(second * 1_000).toISOString().slice(0, 'YYYY-MM-DDTHH:MM:SS.'.length)
    lastSecond = second
  }
  return `${lastText}${String(ms - second * 1_000).padStart(3, '0')}Z`
}
