/** True for what can stand in a note: text that UTF-8 can hold, without control characters but line breaks. */
export function isNoteText(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return text.isWellFormed() && !/[\u0000-\u0009\u000b-\u001f]/.test(text)
}
