/** The bytes of a text in base64; undefined unless it is the only text of these bytes: Node skips over what is none. */
export function parseBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}
