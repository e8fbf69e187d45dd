import type { StoredResponse } from '@keelson/kernel'
import { isCoded, isWhole } from '../decide-answer.ts'
import type { Captured, Headers } from '../exchange.ts'
import { headerValues } from '../header-values.ts'
import type { CheckedCachedRule, ResponseHead } from '../policy.ts'
import { storedHeaders } from '../stored-headers.ts'
import { withEtag } from './etag.ts'
import { ownHeaders } from './own-headers.ts'

/** What becomes of an answer that came from its handler; `why` is a label of a metric. */
export type Stored =
  | { readonly kind: 'store'; readonly response: StoredResponse }
  /** It is no answer for others. */
  | { readonly kind: 'pass'; readonly why: string; readonly head: ResponseHead }
  /** Nobody knows what the answer would have been. */
  | { readonly kind: 'failed'; readonly why: string }

/**
 * These two belong to what stands around the handler: headers for other origins and codings are never stored, and made
 * for each answer anew.
 */
const AROUND = new Set(['origin', 'accept-encoding'])

/** Only what is whole, public to all who share the entry, and decided by nothing but its key. */
export function decideStored(
  captured: Captured,
  o: Pick<CheckedCachedRule, 'statuses' | 'vary' | 'etag'> & { readonly correlationHeader: string },
): Stored {
  if (captured.kind === 'abandoned') return { kind: 'failed', why: 'broken' }
  const head = captured.kind === 'whole' ? captured.response : captured
  const { status } = head
  if (status >= 500) return { kind: 'failed', why: 'server-error' }
  if (captured.kind === 'part') return { kind: 'pass', why: captured.why, head }
  const { body } = captured.response
  if (!isWhole(captured.response, false)) return { kind: 'failed', why: 'length' }
  if (!o.statuses.includes(status)) return { kind: 'pass', why: 'status', head }
  const headers = ownHeaders(captured.response.headers, captured.before)
  const why = foreign(headers, o.vary)
  if (why !== undefined) return { kind: 'pass', why, head }
  return {
    kind: 'store',
    response: { status, headers: withEtag(storedHeaders(headers, o.correlationHeader), body, o.etag), body },
  }
}

function foreign(headers: Headers, known: readonly string[]): string | undefined {
  if (headerValues(headers, 'set-cookie').length > 0) return 'set-cookie'
  if (elementsOf(headers, 'cache-control').some((one) => /^(no-store|private)\b/.test(one))) return 'private'
  if (isCoded(headers)) return 'content-encoding'
  const isKnown = (name: string): boolean => AROUND.has(name) || known.some((one) => one.toLowerCase() === name)
  return elementsOf(headers, 'vary').every(isKnown) ? undefined : 'vary'
}

/** The elements of a list header, in lower case. */
export function elementsOf(headers: Headers, name: string): string[] {
  return headerValues(headers, name)
    .flatMap((line) => line.split(','))
    .map((one) => one.trim().toLowerCase())
    .filter((one) => one !== '')
}
