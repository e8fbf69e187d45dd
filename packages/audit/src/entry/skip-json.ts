const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const ESCAPE = /["\\/bfnrt]|u[0-9a-fA-F]{4}/y
/** Deeper is left to a parser that needs no stack. */
const MAX_DEPTH = 500

/** Behind the JSON value that begins at `at` (RFC 8259, without blanks), or -1 if there is none. */
export function skipValue(text: string, at: number, depth = 0): number {
  switch (text.charCodeAt(at)) {
    case 0x22: // "
      return skipText(text, at)
    case 0x7b: // {
      return depth < MAX_DEPTH ? skipObject(text, at, depth + 1) : -1
    case 0x5b: // [
      return depth < MAX_DEPTH ? skipArray(text, at, depth + 1) : -1
    case 0x74: // t
      return text.startsWith('true', at) ? at + 4 : -1
    case 0x66: // f
      return text.startsWith('false', at) ? at + 5 : -1
    case 0x6e: // n
      return text.startsWith('null', at) ? at + 4 : -1
    default:
      return skipMatch(NUMBER, text, at)
  }
}

/** Behind a string; the text is UTF-8 as Latin-1, so each of its characters is a byte. */
export function skipText(text: string, start: number): number {
  if (text.charCodeAt(start) !== 0x22) return -1
  let at = start + 1
  for (;;) {
    const code = text.charCodeAt(at)
    if (code === 0x22) return at + 1
    if (code === 0x5c) {
      at = skipMatch(ESCAPE, text, at + 1)
      if (at === -1) return -1
    } else if (code >= 0x20) at++
    else return -1 // A control character, or NaN: the end.
  }
}

function skipObject(text: string, start: number, depth: number): number {
  if (text.charCodeAt(start + 1) === 0x7d) return start + 2
  let at = start
  do {
    at = skipText(text, at + 1)
    if (at === -1 || text.charCodeAt(at) !== 0x3a) return -1
    at = skipValue(text, at + 1, depth)
    if (at === -1) return -1
  } while (text.charCodeAt(at) === 0x2c)
  return text.charCodeAt(at) === 0x7d ? at + 1 : -1
}

function skipArray(text: string, start: number, depth: number): number {
  if (text.charCodeAt(start + 1) === 0x5d) return start + 2
  let at = start
  do {
    at = skipValue(text, at + 1, depth)
    if (at === -1) return -1
  } while (text.charCodeAt(at) === 0x2c)
  return text.charCodeAt(at) === 0x5d ? at + 1 : -1
}

function skipMatch(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : -1
}
