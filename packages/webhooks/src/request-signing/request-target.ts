import { header } from '../verify/header.ts'
import type { VerifyHeaders } from '../verify/verifier.ts'

/** What RFC 9421 (2.2.3, 2.2.6, 2.2.7) calls @authority, @path and @query. */
export interface RequestTarget {
  /** Lower case, without the scheme's own port. */
  readonly authority: string | undefined
  readonly path: string
  /** With its `?`, which is all there is without a query. */
  readonly query: string
}

const ABSOLUTE = /^(https?):\/\/([^/?#]+)(.*)$/i
const OWN_PORT: Readonly<Record<string, RegExp>> = { http: /:(?:80)?$/, https: /:(?:443)?$/ }

/** Of a request that leaves: as `fetch` puts it on the wire. Undefined for what is no URL of http or https. */
export function sentTarget(url: string | URL): RequestTarget | undefined {
  const parsed = URL.parse(String(url))
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) return undefined
  return { authority: parsed.host, path: parsed.pathname, query: parsed.search || '?' }
}

/**
 * Of a request that came in, letter by letter: whoever routes it reads the same. Without an authority in `url` it is the
 * Host header's. Undefined for what is no target.
 */
export function receivedTarget(url: string, headers: VerifyHeaders): RequestTarget | undefined {
  const [, scheme, authority, rest = url] = ABSOLUTE.exec(url) ?? []
  if (scheme === undefined && !url.startsWith('/')) return undefined
  const target = rest.split('#', 1)[0]!
  const at = target.indexOf('?')
  return {
    authority: authority === undefined ? hostOf(headers) : authorityOf(scheme!, authority),
    path: (at === -1 ? target : target.slice(0, at)) || '/',
    query: at === -1 ? '?' : target.slice(at),
  }
}

/** Its scheme is not known here; clients leave the scheme's own port out by themselves. */
function hostOf(headers: VerifyHeaders): string | undefined {
  // Only an object of Node's HTTP/2 has the other one, which `Headers` refuses to be asked for.
  const host = header(headers, 'host') ?? (':authority' in headers ? header(headers, ':authority') : undefined)
  return host?.toLowerCase()
}

function authorityOf(scheme: string, authority: string): string {
  const host = authority.slice(authority.lastIndexOf('@') + 1)
  return host.toLowerCase().replace(OWN_PORT[scheme.toLowerCase()]!, '')
}
