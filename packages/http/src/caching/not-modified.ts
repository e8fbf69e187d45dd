import type { StoredResponse } from '@keelson/kernel'
import type { Headers } from '../exchange.ts'
import { headerValues } from '../header-values.ts'
import type { ResponseHead } from '../policy.ts'
import { matches } from './if-none-match.ts'

/** RFC 9110, section 15.4.5; and a cookie is the client's, whatever it has of the answer. */
const KEPT = new Set(['etag', 'cache-control', 'content-location', 'expires', 'vary', 'cache-status', 'set-cookie'])

/** In place of an answer with these headers, for a client that has it. */
export function notModified(headers: Headers): StoredResponse {
  return { status: 304, headers: headers.filter(([name]) => KEPT.has(name.toLowerCase())), body: new Uint8Array(0) }
}

/** Of another answer a precondition says nothing (RFC 9110, section 13.2.1). */
export function mayBe304({ status }: Pick<StoredResponse, 'status'>): boolean {
  return status >= 200 && status < 300
}

/** The answer, or 304 in its place. */
export function forClient(response: StoredResponse, ifNoneMatch: string | undefined): StoredResponse {
  return instead(response, ifNoneMatch) ?? response
}

/** 304 in place of an answer with this head, of which the body may be anywhere; undefined: the client does not have it. */
export function instead(head: ResponseHead, ifNoneMatch: string | undefined): StoredResponse | undefined {
  if (!mayBe304(head)) return undefined
  const [etag] = headerValues(head.headers, 'etag')
  return matches(ifNoneMatch, etag) ? notModified(head.headers) : undefined
}
