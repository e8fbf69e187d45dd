/** What a keyid is: it stands in a header, and is the scope of its nonces. */
export const keyIdAllowed = '1 to 128 printable characters of ASCII'

/** True for a keyid. */
export function isKeyId(value: unknown): value is string {
  return typeof value === 'string' && /^[ -~]{1,128}$/.test(value)
}
