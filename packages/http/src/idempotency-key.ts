import { isPlainText } from '@keelson/kernel'
import { HttpProblem } from './problem.ts'
import { readStringItem } from './string-item.ts'

const MAX_CHARACTERS = 255
/** What many clients send instead of a String: visible ASCII without a comma (two keys) or a quote (half a String). */
const BARE = /^[\x21\x23-\x2b\x2d-\x7e]+$/

/**
 * The key of `Idempotency-Key` lines: one line, 1 to 255 characters, as an RFC 9651 String or bare. Both forms of one
 * text are one key.
 * @throws HttpProblem 400 'key-missing' without a line, 400 'key-malformed'
 */
export function parseIdempotencyKey(lines: readonly string[]): string {
  const [line, second] = lines
  if (line === undefined) throw keyMissing()
  if (second !== undefined) throw keyMalformed('it was sent in more than one line')
  const text = BARE.test(line) ? line : readStringItem(line)
  if (text === undefined) throw keyMalformed('it must be an RFC 9651 String, or visible ASCII without comma and quote')
  return checkOwnKey(text)
}

/**
 * A key that the application found itself, where other alphabets are welcome.
 * @throws HttpProblem 400 'key-malformed'
 */
export function checkOwnKey(key: string): string {
  if (key === '' || key.length > MAX_CHARACTERS) throw keyMalformed(`it must have 1 to ${MAX_CHARACTERS} characters`)
  if (!isPlainText(key)) throw keyMalformed('it must not have control characters')
  return key
}

/** No key came where one is required. */
export function keyMissing(): HttpProblem {
  return new HttpProblem(400, 'key-missing', { detail: 'this request needs an idempotency key' })
}

function keyMalformed(why: string): HttpProblem {
  return new HttpProblem(400, 'key-malformed', { detail: `the idempotency key cannot be read: ${why}` })
}
