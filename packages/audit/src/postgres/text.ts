const SPECIAL = /[\0\t\n\\]/
const SPECIALS = /[\0\t\n\\]/g
const ESCAPED = /\\[0tne\\]/g
const ESCAPE: Readonly<Record<string, string>> = { '\0': '\\0', '\t': '\\t', '\n': '\\n', '\\': '\\\\' }
const UNESCAPE: Readonly<Record<string, string>> = { '\\0': '\0', '\\t': '\t', '\\n': '\n', '\\e': '', '\\\\': '\\' }
/** In a list: no text, and a text that is empty, which alone would be an empty list. */
const NULL = '\\N'
const EMPTY = '\\e'

/** Any text as Postgres can keep it (without NUL) and as it can stand in a list; one to one. */
export function toText(text: string): string {
  if (text === '') return EMPTY
  return SPECIAL.test(text) ? text.replace(SPECIALS, (found) => ESCAPE[found]!) : text
}

/** What `toText` was given. */
export function fromText<T extends string | null>(text: T): T {
  if (text === null || !text.includes('\\')) return text
  return text.replace(ESCAPED, (found) => UNESCAPE[found]!) as T
}

/** A list as one parameter, which needs no driver's idea of arrays: {@link listOf} reads it. Never an empty one. */
export function toList(texts: readonly (string | null)[]): string {
  return texts.map((text) => (text === null ? NULL : toText(text))).join('\n')
}

/** As SQL: the texts of a parameter. */
export const listOf = (parameter: string): string => `string_to_array(${parameter}, E'\\n', E'\\\\N')`
