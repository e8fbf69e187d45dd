/** In lower-case hex, over a text in UTF-8. The first call loads node:crypto, which is half of an import's time. */
export function sha256(text: string): string {
  return process.getBuiltinModule('node:crypto').hash('sha256', text)
}
