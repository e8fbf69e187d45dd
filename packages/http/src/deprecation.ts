import { checkOptions, opt } from '@keelson/kernel'
import { optionFailure } from './error.ts'
import type { Headers } from './exchange.ts'

/** Since when a route should not be used any more, and what comes instead. Dates as ISO 8601. */
export interface DeprecatedRule {
  /** Of a date to come too. */
  readonly since: string
  /** When the route may go; not before `since`. */
  readonly sunset?: string
  /** Where it is explained. */
  readonly link?: string
  /** The route to use instead. */
  readonly successor?: string
}

/** What a deprecated route says: own header fields, and lines that join other links. */
export interface Deprecation {
  readonly headers: Headers
  readonly links: readonly string[]
}

const ISO = /^(\d{4}-\d{2}-\d{2})(T.+(Z|[+-]\d{2}:\d{2}))?$/
const date = opt.custom<string>("an ISO 8601 date such as '2027-01-31' or '2027-01-31T12:00:00Z'", isDate)
const uri = opt.custom<string>('a URI without spaces, quotes and angle brackets', isUri)
const SPEC = { since: opt.required(date), sunset: date, link: uri, successor: uri }

/**
 * The header fields `Deprecation` (RFC 9745) and `Sunset` (RFC 8594) and the links of a rule.
 * @throws HttpError OPTION_INVALID
 */
export function checkDeprecation(given: object): Deprecation {
  const { since, sunset, link, successor } = checkOptions('policy: deprecated', given, SPEC, optionFailure)
  if (sunset !== undefined && Date.parse(sunset) < Date.parse(since)) {
    throw optionFailure(`policy: deprecated: "sunset" must not be before "since" (got '${sunset}' and '${since}')`)
  }
  const headers: [string, string][] = [['Deprecation', `@${Math.floor(Date.parse(since) / 1000)}`]]
  if (sunset !== undefined) headers.push(['Sunset', new Date(sunset).toUTCString()])
  const links: string[] = []
  if (link !== undefined) links.push(`<${link}>; rel="deprecation"`)
  if (successor !== undefined) links.push(`<${successor}>; rel="successor-version"`)
  return { headers, links }
}

/** `Date.parse` takes February 31 for March 3. */
function isDate(given: unknown): boolean {
  const day = typeof given === 'string' ? ISO.exec(given)?.[1] : undefined
  if (day === undefined || Number.isNaN(Date.parse(given as string))) return false
  return new Date(day).toISOString().startsWith(day)
}

function isUri(given: unknown): boolean {
  return typeof given === 'string' && /^[\x21\x23-\x3b\x3d\x3f-\x7e]+$/.test(given)
}
