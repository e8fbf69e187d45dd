import type { EventRows, TraceRow } from '../store.ts'
import { end } from './moves.ts'
import { isOpen, type KeptEvent } from './rows.ts'
import type { State } from './state.ts'

export function createEvents(state: State): EventRows {
  const { scopes, traces } = state
  const eventsOf = (scope: string): KeptEvent[] => [...(scopes.get(scope)?.events.values() ?? [])]
  return {
    async get(scope, id) {
      return scopes.get(scope)?.events.get(id)?.stored ?? null
    },
    async bySubject(scope, subject, { after, limit }) {
      const events = eventsOf(scope).filter(({ stored }) => stored.subject === subject)
      const from = after === undefined ? 0 : events.findIndex(({ stored }) => stored.id === after) + 1
      return events.slice(from, from + limit).map(({ stored }) => stored)
    },
    async erase(scope, subject, limit) {
      const nowMs = state.now()
      const found = eventsOf(scope).filter(({ stored }) => stored.subject === subject && !stored.erased)
      let cancelled = 0
      for (const event of found.slice(0, limit)) {
        event.stored = { ...event.stored, body: new Uint8Array(), erased: true }
        for (const delivery of event.deliveries) {
          delivery.log = delivery.log.map((row) => ({ ...row, response: null, error: null }))
          if (!isOpen(delivery)) continue
          end(state, delivery, 'cancelled', 'erased', nowMs)
          cancelled++
        }
      }
      return { events: Math.min(found.length, limit), cancelled }
    },
    async trace(correlationId) {
      return (traces.get(correlationId) ?? []).flatMap(traceOf)
    },
  }
}

function traceOf({ stored, deliveries }: KeptEvent): TraceRow[] {
  const name = `${stored.type} ${stored.id}`
  const attempts = deliveries.flatMap(({ lane, log }) =>
    log.map(({ atMs, number, outcome, status }) => {
      const text = `${name} to ${lane.row.id}, attempt ${number}: ${status ?? outcome}`
      return { atMs, kind: 'attempt' as const, text }
    }),
  )
  return [{ atMs: stored.createdAtMs, kind: 'event', text: name }, ...attempts]
}
