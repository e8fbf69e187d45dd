const LISTS = new Set(['set-cookie', 'vary', 'link', 'www-authenticate'])

/** True for a field to which middleware and answer both contribute: the answer adds lines, it does not replace any. */
export function isListHeader(name: string): boolean {
  return LISTS.has(name.toLowerCase())
}
