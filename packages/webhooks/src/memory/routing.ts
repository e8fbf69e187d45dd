import type { WebhookStore } from '../store.ts'
import { deliver } from './publishing.ts'
import type { KeptEvent } from './rows.ts'
import { revisionOf, scopeOf, wake, type Scope, type State } from './state.ts'

export function createRouting(
  state: State,
): Pick<WebhookStore, 'takeUnrouted' | 'route' | 'audience' | 'registerHandlers'> {
  const { scopes, handlers } = state
  return {
    async takeUnrouted(limit, leaseMs) {
      const nowMs = state.now()
      const token = String(++state.fence)
      const mine = new Set<Scope>()
      const taken: KeptEvent[] = []
      for (const event of state.unrouted) {
        if (taken.length >= limit) break
        if (event.routed) continue
        const scope = scopeOf(state, event.stored.scope)
        if (!mine.has(scope)) {
          if (scope.router !== undefined && scope.router.endsMs > nowMs) continue
          scope.router = { token, endsMs: nowMs + leaseMs }
          mine.add(scope)
        }
        taken.push(event)
      }
      return taken.map(({ stored }) => {
        return { event: stored, revision: revisionOf(state, scopes.get(stored.scope)), token }
      })
    },

    async route(routes) {
      const nowMs = state.now()
      const kinds = routes.map((route) => {
        const scope = scopes.get(route.scope)
        const event = scope?.events.get(route.event)
        if (scope === undefined || event === undefined || event.routed) return 'stale'
        if (scope.router?.token !== route.token) return 'stale'
        if (route.matched.revision !== revisionOf(state, scope)) return 'moved'
        deliver(state, scope, event, route.matched, nowMs)
        scope.unrouted--
        return 'ok'
      })
      // All that was taken has been told of: the next router need not wait for the lease.
      const again = new Set(routes.filter((_, i) => kinds[i] === 'moved').map(({ scope }) => scope))
      for (const { scope: name, token } of routes) {
        const scope = scopes.get(name)
        if (scope?.router?.token === token && !again.has(name)) scope.router = undefined
      }
      state.unrouted = state.unrouted.filter((event) => !event.routed)
      wake(state)
      return kinds
    },

    async audience(name) {
      const scope = scopes.get(name)
      const lanes = [...(scope?.endpoints.values() ?? [])].filter(({ isHandler }) => !isHandler)
      return {
        revision: revisionOf(state, scope),
        endpoints: lanes.map(({ row }) => ({ id: row.id, config: row.config })),
        handlers: [...handlers.values()]
          .filter((handler) => handler.scope === null || handler.scope === name)
          .map((handler) => ({ name: handler.name, types: handler.types })),
      }
    },

    async registerHandlers(rows) {
      for (const row of rows) {
        const known = handlers.get(row.name)
        const isSame = JSON.stringify([known?.types, known?.scope]) === JSON.stringify([row.types, row.scope])
        if (!isSame) state.handlersRevision++
        handlers.set(row.name, row)
      }
    },
  }
}
