import type { StoredResponse } from '@keelson/kernel'
import { addressTest } from './addresses.ts'
import { clientOf } from './client-of.ts'
import type { Exchange } from './exchange.ts'
import { headerValues } from './header-values.ts'
import type { CheckedPolicy } from './policy.ts'
import { HttpProblem } from './problem.ts'
import type { RequestState } from './request-state.ts'
import type { RouteParts } from './route.ts'

/** The answer that ends a request, or undefined. */
type Rule = (x: Exchange, state: RequestState) => StoredResponse | undefined | Promise<StoredResponse | undefined>

/**
 * The rules that stand before authentication, in their order: addresses, deadline, rate limits by address (`limit`),
 * deprecation. What they answer ends the request.
 */
export function earlyRules(
  { allowIps, deadline, deprecated }: Pick<CheckedPolicy, 'allowIps' | 'deadline' | 'deprecated'>,
  parts: Pick<RouteParts, 'options' | 'metrics' | 'refuse'>,
  limit?: Rule,
): Rule {
  const { options: o, refuse } = parts
  const isAllowed = allowIps === undefined ? undefined : addressTest(allowIps)

  function refuseAddress(x: Exchange): StoredResponse | undefined {
    if (isAllowed === undefined) return undefined
    return isAllowed(clientOf(x, parts)) ? undefined : refuse(new HttpProblem(403, 'address-refused'), x)
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

  return async (x, state) => {
    const refusal = refuseAddress(x) ?? refuseLate(x, state) ?? (limit && (await limit(x, state)))
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
