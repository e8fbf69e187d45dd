import type { StoredResponse } from '@keelson/kernel'
import { addressTest, clientAddress } from './addresses.ts'
import type { Exchange } from './exchange.ts'
import { headerValues } from './header-values.ts'
import type { CheckedPolicy } from './policy.ts'
import { HttpProblem } from './problem.ts'
import type { RequestState } from './request-state.ts'
import type { RouteParts } from './route.ts'

/**
 * The rules that stand before authentication, in their order: addresses, deadline, deprecation. What they answer ends the
 * request. Rate limits by address will stand between the deadline and the deprecation.
 */
export function earlyRules(
  { allowIps, deadline, deprecated }: Pick<CheckedPolicy, 'allowIps' | 'deadline' | 'deprecated'>,
  { options: o, metrics, refuse }: Pick<RouteParts, 'options' | 'metrics' | 'refuse'>,
): (x: Exchange, state: RequestState) => StoredResponse | undefined {
  const isAllowed = allowIps === undefined ? undefined : addressTest(allowIps)

  function refuseAddress(x: Exchange): StoredResponse | undefined {
    if (isAllowed === undefined) return undefined
    const { address, isMalformed } = clientAddress(x.remoteAddress, x.header('x-forwarded-for'), o.isTrustedProxy)
    if (isMalformed) metrics.badHeaders.inc({ header: 'x-forwarded-for' })
    return isAllowed(address) ? undefined : refuse(new HttpProblem(403, 'address-refused'), x)
  }

  function refuseLate(x: Exchange, state: RequestState): StoredResponse | undefined {
    const endsMs = deadlineOf(state, deadline)
    if (endsMs === undefined || endsMs > o.clock.monotonic()) return undefined
    return refuse(new HttpProblem(504, 'deadline-exceeded'), x)
  }

  function deprecate(x: Exchange): void {
    const { headers = [], links = [] } = deprecated ?? {}
    for (const [name, value] of headers) x.setHeader(name, value)
    if (links.length === 0) return
    x.onHead((_, lines) => {
      const others = headerValues(lines, 'link')
      x.setHeader('Link', [...others, ...links.filter((link) => !others.includes(link))])
    })
  }

  return (x, state) => {
    const refusal = refuseAddress(x) ?? refuseLate(x, state)
    if (refusal === undefined) deprecate(x)
    return refusal
  }
}

/** When a request is over, on the monotonic clock: by its own deadline or its route's, which is the nearer. */
export function deadlineOf(
  { context: { deadline = Infinity }, startedMs }: RequestState,
  routeMs: number | undefined,
): number | undefined {
  const nearest = Math.min(deadline, startedMs + (routeMs ?? Infinity))
  return nearest === Infinity ? undefined : nearest
}
