const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const TIME = String.raw`(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)`
const FORMS = [
  String.raw`(?<weekday>[A-Z][a-z]{2}), (?<day>\d\d) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) ${TIME} GMT`,
  String.raw`(?<weekday>[A-Z][a-z]+day), (?<day>\d\d)-(?<month>[A-Z][a-z]{2})-(?<year>\d\d) ${TIME} GMT`,
  String.raw`(?<weekday>[A-Z][a-z]{2}) (?<month>[A-Z][a-z]{2}) (?<day>\d\d| \d) ${TIME} (?<year>\d{4})`,
].map((form) => new RegExp(`^${form}$`))

/**
 * Ms since 1970 of an HTTP-date: IMF-fixdate, RFC 850 and asctime (RFC 9110, section 5.6.7), to the letter. Undefined for
 * anything else, also for days that are not in the calendar. `nowMs` tells the century of a year with two digits.
 */
export function parseHttpDate(text: string, nowMs: number): number | undefined {
  const found = FORMS.map((form) => form.exec(text)?.groups).find((groups) => groups !== undefined)
  if (found === undefined) return undefined
  const { weekday, month, year } = found
  const [day, hour, minute, second] = [found['day'], found['hour'], found['minute'], found['second']].map(Number)
  // A leap second is allowed.
  if (hour! > 23 || minute! > 59 || second! > 60) return undefined
  const fullYear = year!.length === 4 ? Number(year) : nearYear(Number(year), nowMs)
  const midnight = new Date(0)
  midnight.setUTCFullYear(fullYear, MONTHS.indexOf(month!), day)
  const name = DAYS[midnight.getUTCDay()]!
  const isReal = MONTHS[midnight.getUTCMonth()] === month && midnight.getUTCDate() === day
  if (!isReal || weekday !== (year!.length === 4 ? name.slice(0, 3) : name)) return undefined
  return midnight.getTime() + ((hour! * 60 + minute!) * 60 + second!) * 1_000
}

/** The latest year with these last two digits that is not more than 50 years ahead. */
function nearYear(digits: number, nowMs: number): number {
  const latest = new Date(nowMs).getUTCFullYear() + 50
  return latest - ((latest - digits) % 100)
}
