import { afterClaim } from '../lane.ts'
import type { Claim, WebhookStore } from '../store.ts'
import { nextOf, servedOf, type Lane } from './lane.ts'
import type { KeptDelivery } from './rows.ts'
import type { State } from './state.ts'

export function createClaiming(state: State): Pick<WebhookStore, 'claim' | 'nextDue'> {
  const { ready, leases, scopes } = state

  function lease(delivery: KeptDelivery, nowMs: number): Claim {
    const { lane, event } = delivery
    const { rules } = lane.row
    const { suspect } = lane.health
    const fence = ++state.fence
    lane.health = afterClaim(lane.health, rules, delivery.redriven, nowMs)
    lane.claimedMs = nowMs
    delivery.status = 'delivering'
    leases.begin(delivery, fence, nowMs)
    return {
      token: { scope: event.stored.scope, endpoint: lane.row.id, delivery: delivery.id, fence },
      leaseMs: rules.leaseMs,
      attempts: delivery.attempts,
      spent: delivery.spent,
      event: event.stored,
      endpoint: servedOf(lane, nowMs),
      suspect,
    }
  }

  return {
    async claim({ limit, suspects, handlers }) {
      if (state.allPaused) return []
      const nowMs = state.now()
      const classes = classesOf(suspects, handlers)
      const claims: Claim[] = []
      const lanes: Lane[] = []
      while (claims.length < limit) {
        const lane = ready.firstOf(classes, nowMs)?.lane
        if (lane === undefined) break
        lane.place = null
        const next = nextOf(lane, nowMs)
        if (next === null || next.atMs > nowMs) {
          ready.schedule(lane, nowMs)
          continue
        }
        claims.push(lease(next.delivery, nowMs))
        lanes.push(lane)
      }
      // At most one of a lane: it goes behind the others.
      for (const lane of lanes) ready.schedule(lane, nowMs)
      return claims
    },

    async nextDue({ handlers }) {
      let atMs = leases.first()?.endsMs ?? Infinity
      if (!state.allPaused) {
        for (const name of classesOf(true, handlers)) atMs = Math.min(atMs, ready.first(name)?.atMs ?? Infinity)
      }
      for (const { stored } of state.unrouted) atMs = Math.min(atMs, scopes.get(stored.scope)?.router?.endsMs ?? 0)
      return atMs === Infinity ? null : Math.max(0, atMs - state.now())
    },
  }
}

/** Which lanes a claim may look at. */
function classesOf(suspects: boolean, handlers: readonly string[]): readonly string[] {
  return ['', ...(suspects ? ['suspect'] : []), ...handlers.map((name) => `fn:${name}`)]
}
