const ID = /^[A-Za-z0-9._:-]{1,128}$/
/** Seconds from 2001 on, between dots. */
const HOLDS_A_TIME = /\.\d{10,13}(?:\.|$)/

/** What a message's id is, for errors. */
export const messageIdAllowed = "1 to 128 of A-Z a-z 0-9 . _ : - without a '.' and 10 to 13 digits as a segment"

/**
 * True for an id that can be signed. Signed is `id.timestamp.body`: in `a.1700000000` and the body `{}` the digits could
 * pass for the timestamp, and the real timestamp for the beginning of the body.
 */
export function isMessageId(value: unknown): value is string {
  return typeof value === 'string' && ID.test(value) && !HOLDS_A_TIME.test(value)
}
