import { healed } from '../lane.ts'
import type { EndpointRows, StoredEndpoint, WebhookStore } from '../store.ts'
import { createLane, holdOrFree, isHandlerId, type Lane } from './lane.ts'
import { end } from './moves.ts'
import { isOpen } from './rows.ts'
import { scopeOf, wake, type State } from './state.ts'

const view = ({ row, health }: Lane): StoredEndpoint => ({ ...row, health })

export function createEndpoints(state: State): EndpointRows {
  const { scopes, ready } = state
  return {
    async insert(row, max) {
      const scope = scopeOf(state, row.scope)
      const isHandler = isHandlerId(row.id)
      const count = [...scope.endpoints.values()].filter((lane) => !lane.isHandler).length
      if (scope.endpoints.has(row.id) || (!isHandler && count >= max)) return 'limit'
      const lane = createLane(row, state.now(), scope.paused)
      scope.endpoints.set(row.id, lane)
      if (!isHandler) scope.revision++
      return view(lane)
    },
    async get(scope, id) {
      const lane = scopes.get(scope)?.endpoints.get(id)
      return lane === undefined ? null : view(lane)
    },
    async list(scope, { after = '', limit }) {
      const lanes = [...(scopes.get(scope)?.endpoints.values() ?? [])]
      return lanes
        .filter(({ row, isHandler }) => row.id > after && !isHandler)
        .toSorted((a, b) => (a.row.id < b.row.id ? -1 : 1))
        .slice(0, limit)
        .map(view)
    },
    async put(row, revision, heal) {
      const nowMs = state.now()
      const scope = scopeOf(state, row.scope)
      const lane = scope.endpoints.get(row.id)
      if (lane === undefined) return null
      if (lane.row.revision !== revision) return 'conflict'
      if (lane.row.config !== row.config) scope.revision++
      lane.row = { ...row, revision: revision + 1, createdAtMs: lane.row.createdAtMs, updatedAtMs: nowMs }
      holdOrFree(lane, nowMs)
      if (heal) lane.health = healed(lane.health)
      ready.schedule(lane, nowMs)
      wake(state)
      return view(lane)
    },
    async remove(name, id) {
      const scope = scopes.get(name)
      const lane = scope?.endpoints.get(id)
      if (scope === undefined || lane === undefined) return false
      const nowMs = state.now()
      lane.removed = true
      scope.endpoints.delete(id)
      scope.revision++
      for (const delivery of scope.deliveries.values()) {
        if (delivery.lane === lane && isOpen(delivery)) end(state, delivery, 'cancelled', null, nowMs)
      }
      return true
    },
  }
}

/** Stops or starts the lanes of a scope, or of all. */
export function createPausing(state: State): Pick<WebhookStore, 'pause'> {
  return {
    async pause(name, paused) {
      const nowMs = state.now()
      if (name === null) state.allPaused = paused
      else {
        const scope = scopeOf(state, name)
        scope.paused = paused
        for (const lane of scope.endpoints.values()) {
          lane.scopePaused = paused
          holdOrFree(lane, nowMs)
          state.ready.schedule(lane, nowMs)
        }
      }
      if (!paused) wake(state)
    },
  }
}
