import type { Logger } from '@keelson/kernel'
import type { LaneNotice } from './lane.ts'
import type { Claim, Reaped, Settled, Settlement } from './store.ts'
import type { OperationalEvent, OperationalNotice } from './webhooks.ts'

/** Who is told what happens to endpoints and deliveries. */
export interface Notices {
  on(name: OperationalEvent, fn: (notice: OperationalNotice) => void): () => void
  tell(notice: OperationalNotice): void
}

const NAMES: readonly OperationalEvent[] = [
  'endpoint.failing',
  'endpoint.disabled',
  'endpoint.recovered',
  'delivery.dead',
  'delivery.succeeded',
]
export const operationalEvents: readonly string[] = NAMES

export function createNotices(o: { forward(notice: OperationalNotice): void; readonly logger: Logger }): Notices {
  const listeners = new Map<OperationalEvent, Set<(notice: OperationalNotice) => void>>()
  return {
    on(name, fn) {
      const set = listeners.get(name) ?? new Set()
      listeners.set(name, set.add(fn))
      return () => void set.delete(fn)
    },
    tell(notice) {
      const set = listeners.get(notice.name)
      // Those of now: one may listen for more.
      if (set !== undefined) for (const fn of Array.from(set)) call(fn, notice)
      o.forward(notice)
    },
  }

  function call(fn: (notice: OperationalNotice) => unknown, notice: OperationalNotice): void {
    const failed = (error: unknown): void =>
      o.logger.warn({ err: error, notice: notice.name }, 'a listener of webhooks has thrown')
    try {
      // One that is async is no listener by its type, and allowed by the compiler.
      const answer = fn(notice)
      if (answer !== undefined) Promise.resolve(answer).catch(failed)
    } catch (error) {
      failed(error)
    }
  }
}

/** What a settled claim is worth telling. */
export function noticesOf({ token, end }: Settlement, result: Settled, { event }: Claim): OperationalNotice[] {
  if (result.kind === 'stale') return []
  const { scope, endpoint, delivery } = token
  const { id, type } = event
  const notices = result.notices.map((notice) => laneNotice(notice, { scope, endpoint }))
  if (end.kind === 'succeeded') notices.push({ name: 'delivery.succeeded', scope, endpoint, delivery, event: id, type })
  if (end.kind === 'dead') {
    notices.push({ name: 'delivery.dead', scope, endpoint, delivery, event: id, type, reason: end.reason })
  }
  return notices
}

export function reapedNotice({ scope, endpoint, delivery, event, type }: Reaped): OperationalNotice {
  return { name: 'delivery.dead', scope, endpoint, delivery, event, type, reason: 'poison' }
}

function laneNotice(notice: LaneNotice, about: { scope: string; endpoint: string }): OperationalNotice {
  switch (notice.kind) {
    case 'disabled':
      return { name: 'endpoint.disabled', ...about, reason: notice.reason }
    case 'failing':
      return { name: 'endpoint.failing', ...about, percent: notice.percent }
    case 'recovered':
      return { name: 'endpoint.recovered', ...about }
  }
}
