/** Beside what JSON escapes: lone surrogates, the other controls, and what some readers of lines take for their end. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e\u00a0-\u2027\u202a-\ud7ff\ue000-\uffff]*$/
const BREAKS = /[\x7f-\x9f\u2028\u2029]/g

/** A text as JSON, in one line for every reader; lone surrogates become U+FFFD. */
export function quoted(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`
  return JSON.stringify(text.toWellFormed()).replace(BREAKS, escaped)
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
