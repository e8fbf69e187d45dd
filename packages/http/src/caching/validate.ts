import { isWhole } from '../decide-answer.ts'
import type { Captured, Exchange } from '../exchange.ts'
import { headerValues } from '../header-values.ts'
import { withEtag } from './etag.ts'
import { instead } from './not-modified.ts'

/** The header, hidden from the framework: a 304 of its own would be taken for the answer. */
export function takeIfNoneMatch(x: Exchange): string | undefined {
  const value = x.header('if-none-match')
  x.hideHeader('If-None-Match')
  x.hideHeader('If-Modified-Since')
  return value
}

/** The rule `etag` alone: the handler runs, and its answer gets a validator, or is a 304. */
export function validate(
  x: Exchange,
  kind: 'weak' | 'strong',
  maxBytes: number,
  settled?: (captured: Captured) => Promise<void>,
): void {
  const ifNoneMatch = takeIfNoneMatch(x)
  let etag: string | undefined
  x.onHead(() => {
    if (etag !== undefined) x.setHeader('ETag', etag)
  })
  x.capture({ maxBytes, hold: 'all' }, async (captured) => {
    await settled?.(captured)
    // The framework would have compared the handler's own validator.
    if (captured.kind === 'part' && captured.status === 200) return instead(captured, ifNoneMatch)
    if (captured.kind !== 'whole' || captured.response.status !== 200) return undefined
    const { response } = captured
    if (!isWhole(response, false)) return undefined
    const headers = withEtag(response.headers, response.body, kind)
    ;[etag] = headerValues(headers, 'etag')
    return instead({ ...response, headers }, ifNoneMatch)
  })
}
