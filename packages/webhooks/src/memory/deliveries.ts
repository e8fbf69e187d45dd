import type { DeliveryRows } from '../store.ts'
import { end, reopen } from './moves.ts'
import { deliveryRow, isOpen, matchesQuery, type KeptDelivery } from './rows.ts'
import { wake, type State } from './state.ts'

export function createDeliveries(state: State): Omit<DeliveryRows, 'startRedrive' | 'redriveStatus' | 'redriveStep'> {
  const { scopes } = state
  const one = (scope: string, id: string): KeptDelivery | undefined => scopes.get(scope)?.deliveries.get(id)
  return {
    async get(scope, id) {
      const delivery = one(scope, id)
      return delivery === undefined ? null : deliveryRow(delivery, state.now())
    },
    async list(query, { after, limit }) {
      const nowMs = state.now()
      const rows = [...(scopes.get(query.scope)?.deliveries.values() ?? [])]
        .filter(({ id }) => after === undefined || id < after)
        .map((delivery) => deliveryRow(delivery, nowMs))
        .filter((row) => matchesQuery(row, query))
        .toSorted((a, b) => (a.id < b.id ? 1 : -1))
      return { rows: rows.slice(0, limit), next: rows.length > limit ? rows[limit - 1]!.id : null }
    },
    async attempts(scope, id, { after = 0, limit }) {
      const delivery = one(scope, id)
      if (delivery === undefined) return null
      const rows = delivery.log.filter(({ fence }) => fence > after)
      return rows.toSorted((a, b) => a.fence - b.fence).slice(0, limit)
    },
    async retry(scope, id) {
      const delivery = one(scope, id)
      if (delivery === undefined || delivery.event.stored.erased || delivery.lane.removed) return null
      const nowMs = state.now()
      if (delivery.status !== 'delivering') {
        reopen(state, delivery, false, nowMs)
        wake(state)
      }
      return deliveryRow(delivery, nowMs)
    },
    async cancel({ scope, id, endpoint }, limit) {
      const nowMs = state.now()
      let cancelled = 0
      for (const delivery of scopes.get(scope)?.deliveries.values() ?? []) {
        if (cancelled >= limit) break
        const { lane } = delivery
        if ((id ?? delivery.id) !== delivery.id || (endpoint ?? lane.row.id) !== lane.row.id) continue
        if (!isOpen(delivery)) continue
        end(state, delivery, 'cancelled', null, nowMs)
        cancelled++
      }
      return cancelled
    },
  }
}
