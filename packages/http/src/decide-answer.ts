import { endOf, type StoredResponse } from '@keelson/kernel'
import type { Captured, Headers } from './exchange.ts'
import { headerValues } from './header-values.ts'
import type { CheckedIdempotentRule } from './policy.ts'
import { storedHeaders } from './stored-headers.ts'

/** What becomes of the key that a handler answered under. */
export type Decision =
  | { readonly kind: 'keep'; readonly response: StoredResponse }
  /** The answer is told once; its key never runs again. */
  | { readonly kind: 'spend'; readonly why: 'too-large' | 'stream' | 'content-encoding' }
  /** `hasBegun`: something may have happened outside. */
  | { readonly kind: 'release'; readonly why: string; readonly hasBegun: boolean }

/** What is no answer to keep, whatever its body is: see {@link isKept}. */
export function decideAnswer(
  captured: Captured,
  o: {
    readonly preset: CheckedIdempotentRule['preset']
    readonly correlationHeader: string
    readonly isHead: boolean
  },
): Decision {
  if (captured.kind === 'abandoned') {
    return { kind: 'release', why: 'the answer was broken off', hasBegun: captured.hasBegun ?? true }
  }
  const { status, headers } = captured.kind === 'whole' ? captured.response : captured
  if (!isKept(status, o.preset)) {
    return { kind: 'release', why: `answered ${status}`, hasBegun: status >= 500 }
  }
  if (captured.kind === 'part') return { kind: 'spend', why: captured.why }
  if (status < 200) return { kind: 'release', why: `answered ${status}`, hasBegun: true }
  if (!isWhole(captured.response, o.isHead)) {
    return { kind: 'release', why: 'the answer is not as long as it says', hasBegun: true }
  }
  if (isCoded(headers)) return { kind: 'spend', why: 'content-encoding' }
  return {
    kind: 'keep',
    response: { status, headers: storedHeaders(headers, o.correlationHeader), body: captured.response.body },
  }
}

/**
 * 5xx and refusals that may pass are none, unless `stripeV1` keeps a 5xx. Of a webhook only a success is kept: its sender
 * comes again because it wants another answer.
 */
export function isKept(status: number, preset: CheckedIdempotentRule['preset']): boolean {
  if (preset === 'receive' && status >= 300) return false
  return endOf(status) !== 'rollback' || (status >= 500 && preset === 'stripeV1')
}

/** RFC 9110, section 8.6: without content, a length is that of another answer. */
export function isWhole({ status, headers, body }: StoredResponse, isHead: boolean): boolean {
  if (isHead || status === 304) return true
  return headerValues(headers, 'content-length').every((length) => Number(length) === body.length)
}

/** RFC 9110, section 8.4: what is stored is the body before any coding. */
export function isCoded(headers: Headers): boolean {
  return headerValues(headers, 'content-encoding').some((coding) => coding.trim().toLowerCase() !== 'identity')
}
