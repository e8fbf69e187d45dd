import type { StoredResponse } from '@keelson/kernel'
import type { VerifyHeaders } from '@keelson/webhooks/verify'
import { describeError } from './describe-error.ts'
import type { Exchange } from './exchange.ts'
import { setSigner } from './owner.ts'
import type { CheckedPolicy } from './policy.ts'
import { HttpProblem } from './problem.ts'
import type { RequestState } from './request-state.ts'
import type { RouteParts } from './route.ts'

/**
 * The rules `signed` and `receive`: who sends a request, proven by its bytes. Resolves with the refusal. Nothing counts,
 * stores or runs anything before. Rejects when it cannot be known, for an outage.
 */
export function verifying(
  { signed, receive }: Pick<CheckedPolicy, 'signed' | 'receive'>,
  { refuse }: Pick<RouteParts, 'refuse'>,
): (x: Exchange, state: RequestState) => Promise<StoredResponse | undefined> {
  /** A nonce is good once, and a policy may stand at two places of a request. */
  async function verify(x: Exchange, state: RequestState): Promise<void> {
    const { method } = x
    const url = x.query === '' ? x.path : `${x.path}?${x.query}`
    const request = { method, url, headers: headersOf(x), body: await x.rawBody() }
    if (signed !== undefined && state.signedBy !== signed) {
      const { keyId, principal, scope } = await signed.verify(request)
      state.signedBy = signed
      setSigner(x, { principal: { type: 'key', id: principal ?? keyId }, scope: scope ?? undefined })
    }
    if (receive !== undefined) state.received = receive.verify(request)
  }

  return async (x, state) => {
    try {
      await verify(x, state)
      return undefined
    } catch (error) {
      if (describeError(error).status >= 500) throw error
      return refuse(error as Error, x)
    }
  }
}

/** The lines of the request. Two of what a signature depends on are never one. */
function headersOf(x: Exchange): VerifyHeaders {
  return {
    get(name: string) {
      const [line, second] = x.headerLines(name)
      if (second !== undefined) {
        throw new HttpProblem(401, 'malformed-header', { detail: `header ${name} came more than once` })
      }
      // HTTP/2 has the host there.
      return line ?? (name === 'host' ? (x.header(':authority') ?? null) : null)
    },
  } as Headers
}
