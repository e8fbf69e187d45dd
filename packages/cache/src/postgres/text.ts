const SPECIAL = /[\0\t\n\\]/
const SPECIALS = /[\0\t\n\\]/g
const ESCAPED = /\\[0tn\\]/g
const ESCAPE: Readonly<Record<string, string>> = { '\0': '\\0', '\t': '\\t', '\n': '\\n', '\\': '\\\\' }
const UNESCAPE: Readonly<Record<string, string>> = { '\\0': '\0', '\\t': '\t', '\\n': '\n', '\\\\': '\\' }

/** Any text as Postgres can keep it (without NUL) and as it can stand in a list; one to one. */
export function toText(text: string): string {
  return SPECIAL.test(text) ? text.replace(SPECIALS, (found) => ESCAPE[found]!) : text
}

/** What `toText` was given. */
export function fromText(text: string): string {
  return text.includes('\\') ? text.replace(ESCAPED, (found) => UNESCAPE[found]!) : text
}

/** A list as one parameter, which needs no driver's idea of arrays: `string_to_array($1, E'\n')`. */
export function toList(texts: readonly string[], separator: '\n' | '\t' = '\n'): string {
  return texts.map(toText).join(separator)
}

/** A list that was read by `array_to_string(column, E'\n')`. Never of an empty one. */
export function fromList(list: string): string[] {
  return list.split('\n').map(fromText)
}
