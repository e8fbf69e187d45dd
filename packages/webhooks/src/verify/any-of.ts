import { optionFailure, WebhookError } from '../error.ts'
import { header } from './header.ts'
import type { Verifier } from './verifier.ts'

/**
 * One door for several senders, or for two headers while a sender changes them: the first verifier whose signature
 * header is present decides alone.
 * @throws WebhookError OPTION_INVALID
 */
export function anyOf(...verifiers: readonly Verifier[]): Verifier {
  if (verifiers.length === 0) throw optionFailure('anyOf: give it a verifier')
  for (const [i, one] of verifiers.entries()) {
    if (typeof one?.verify !== 'function' || !Array.isArray(one.signatureHeaders)) {
      throw optionFailure(`anyOf: argument ${i} must be a verifier with signatureHeaders`)
    }
  }
  const signatureHeaders = [...new Set(verifiers.flatMap((one) => one.signatureHeaders))]
  return {
    // Two of one scheme share their keys of an inbox.
    scheme: [...new Set(verifiers.map(({ scheme }) => scheme))].join('|'),
    signatureHeaders,
    verify(request) {
      for (const one of verifiers) {
        if (one.signatureHeaders.some((name) => header(request.headers, name) !== undefined)) return one.verify(request)
      }
      throw new WebhookError('MISSING_HEADER', `one of the headers ${signatureHeaders.join(', ')} must be there`)
    },
  }
}
