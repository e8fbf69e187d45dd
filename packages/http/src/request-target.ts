/** Path and query of a request target, untouched; also in its absolute form (RFC 9112, section 3.2). For adapters. */
export function readTarget(target: string): { path: string; query: string } {
  const origin = target.startsWith('/') ? '' : (/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i.exec(target)?.[0] ?? '')
  const mark = target.indexOf('?', origin.length)
  const path = target.slice(origin.length, mark === -1 ? undefined : mark)
  return { path: path || '/', query: mark === -1 ? '' : target.slice(mark + 1) }
}
