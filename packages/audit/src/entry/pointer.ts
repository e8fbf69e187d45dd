/** A JSON pointer (RFC 6901) of member names and indexes. */
export function pointerOf(path: readonly (string | number)[]): string {
  let pointer = ''
  for (const token of path) pointer += `/${typeof token === 'number' ? token : escapeToken(token)}`
  return pointer
}

/** A member's name in a pointer. */
export function escapeToken(name: string): string {
  return name.includes('~') || name.includes('/') ? name.replaceAll('~', '~0').replaceAll('/', '~1') : name
}

/** The names in a pointer; undefined if it is none. */
export function tokensOf(pointer: string): string[] | undefined {
  if (pointer === '') return []
  if (!pointer.startsWith('/') || /~(?![01])/.test(pointer)) return undefined
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}
