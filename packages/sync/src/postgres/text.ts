const SPECIAL = /[\0\\]/
const SPECIALS = /[\0\\]/g
const ESCAPED = /\\[0\\]/g

/** Any text as Postgres can keep it, without NUL; one to one but for lone surrogates, which UTF-8 does not have. */
export function toText<T extends string | null | undefined>(text: T): T {
  if (text == null) return text
  const whole = text.isWellFormed() ? text : text.toWellFormed()
  return (SPECIAL.test(whole) ? whole.replace(SPECIALS, (found) => (found === '\0' ? '\\0' : '\\\\')) : whole) as T
}

/** What `toText` was given. */
export function fromText<T extends string | null>(text: T): T {
  if (text === null || !text.includes('\\')) return text
  return text.replace(ESCAPED, (found) => (found === '\\0' ? '\0' : '\\')) as T
}
