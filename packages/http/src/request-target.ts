/** Path and query of a request target, untouched; also in its absolute form (RFC 9112, section 3.2). For adapters. */
export function readTarget(target: string): { path: string; query: string } {
  const origin = target.startsWith('/') ? '' : (/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i.exec(target)?.[0] ?? '')
  const [path, ...query] = target.slice(origin.length).split('?')
  return { path: path || '/', query: query.join('?') }
}
