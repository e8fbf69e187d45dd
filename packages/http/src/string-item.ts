import { HttpProblem } from './problem.ts'

// RFC 9651, section 3.3 and 4.2: one Item that is a String, with parameters of any type.
const STRING = String.raw`"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"`
const NUMBER = String.raw`-?(?:\d{1,12}\.\d{1,3}|\d{1,15})`
const TOKEN = String.raw`[A-Za-z*][!#$%&'*+\-.^_\x60|~0-9A-Za-z:/]*`
const BYTES = String.raw`:[A-Za-z0-9+/=]*:`
const BOOLEAN = String.raw`\?[01]`
const DATE = String.raw`@-?\d{1,15}`
const DISPLAY = String.raw`%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*"`
const BARE_ITEM = [STRING, NUMBER, TOKEN, BYTES, BOOLEAN, DATE, DISPLAY].join('|')
const PARAMETER = String.raw`; *[a-z*][a-z0-9_\-.*]*(?:=(?:${BARE_ITEM}))?`
const ITEM = new RegExp(`^ *(${STRING})((?:${PARAMETER})*) *$`)
const DISPLAY_STRINGS = new RegExp(`=(${DISPLAY})|=${STRING}`, 'g')

/** The value of a structured field that is one String; undefined when it is none. */
export function readStringItem(raw: string): string | undefined {
  const [, quoted, parameters] = ITEM.exec(raw) ?? []
  if (quoted === undefined || parameters === undefined || !displayStringsDecode(parameters)) return undefined
  return quoted.slice(1, -1).replaceAll(/\\(.)/g, '$1')
}

/** Section 4.2.10: percent-encoded bytes are UTF-8. */
function displayStringsDecode(parameters: string): boolean {
  try {
    for (const [, display] of parameters.matchAll(DISPLAY_STRINGS)) decodeURIComponent(display?.slice(1) ?? '')
    return true
  } catch {
    return false
  }
}

/**
 * The value of a structured field that is one String (RFC 9651), read strictly; its parameters are dropped.
 * @throws HttpProblem 400 'header-malformed'
 */
export function parseStringItem(raw: string): string {
  const value = readStringItem(raw)
  if (value === undefined)
    throw new HttpProblem(400, 'header-malformed', { detail: 'the header is not one RFC 9651 String' })
  return value
}
