import { HEALTHY, laneCapacity, laneOpensMs, redrivenCapacity, type LaneHealth } from '../lane.ts'
import type { Claim, EndpointRow, HandlerRow, StoredEndpoint } from '../store.ts'
import { createMinHeap, type MinHeap } from './min-heap.ts'
import type { KeptDelivery } from './rows.ts'

/** A place in a queue; it is void when the delivery has another one since. */
interface Place {
  readonly delivery: KeptDelivery
  readonly dueMs: number
}

/** The queue of an endpoint, or of a handler in a scope. */
export interface Lane {
  row: Omit<StoredEndpoint, 'health'>
  readonly isHandler: boolean
  health: LaneHealth
  readonly live: MinHeap<Place>
  readonly again: MinHeap<Place>
  /** Open deliveries of a key in order; the first is the one that goes. */
  readonly keyed: Map<string, KeptDelivery[]>
  scopePaused: boolean
  /** When it was paused or disabled. */
  heldSinceMs: number | null
  removed: boolean
  /** Its last claim: it waits since then, or it would go before all others until its backlog is gone. */
  claimedMs: number
  /** Its place among the lanes that will be ready. */
  place: ReadyLane | null
  /** What claims were given last. */
  served: Served | null
}

/** A lane's place among those of its class. */
export interface ReadyLane {
  readonly lane: Lane
  readonly of: string
  readonly atMs: number
  /** Who came first, of the same ms. */
  readonly order: number
}

interface Served {
  readonly row: Lane['row']
  readonly untilMs: number
  readonly endpoint: NonNullable<Claim['endpoint']>
}

const earlier = (a: Place, b: Place): boolean =>
  a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.delivery.event.order < b.delivery.event.order)

export const isHandlerId = (id: string): boolean => id.startsWith('fn:')

export function createLane(row: EndpointRow, nowMs: number, scopePaused: boolean): Lane {
  return {
    row: { ...row, revision: 1, createdAtMs: nowMs, updatedAtMs: nowMs },
    isHandler: isHandlerId(row.id),
    health: HEALTHY,
    live: createMinHeap(earlier),
    again: createMinHeap(earlier),
    keyed: new Map(),
    scopePaused,
    heldSinceMs: row.state === 'active' && !scopePaused ? null : nowMs,
    removed: false,
    claimedMs: 0,
    place: null,
    served: null,
  }
}

/** The row of a handler's lane in a scope. */
export function handlerLane(scope: string, { name, rules }: HandlerRow): EndpointRow {
  return { scope, id: `fn:${name}`, state: 'active', disabledReason: null, config: '', secrets: [], rules }
}

/** The first delivery of a queue that still waits there. */
function first(queue: MinHeap<Place>, redriven: boolean): KeptDelivery | undefined {
  for (;;) {
    const place = queue.peek()
    if (place === undefined) return undefined
    const { delivery, dueMs } = place
    const here = delivery.status === 'pending' && !delivery.waits && delivery.dueMs === dueMs
    if (here && delivery.redriven === redriven) return delivery
    queue.pop()
  }
}

/** Puts a pending delivery where it waits, behind an open one of its key. */
export function enqueue(delivery: KeptDelivery): void {
  const { lane } = delivery
  const { key } = delivery.event.stored
  if (key !== undefined) {
    const line = lane.keyed.get(key) ?? []
    lane.keyed.set(key, line)
    if (!line.includes(delivery)) line.push(delivery)
    delivery.waits = line[0] !== delivery
    if (delivery.waits) return
  }
  const queue = delivery.redriven ? lane.again : lane.live
  queue.push({ delivery, dueMs: delivery.dueMs })
}

/** Takes a delivery that has ended out of its lane; the next one of its key goes. */
export function leave(delivery: KeptDelivery): void {
  const { lane } = delivery
  const { key } = delivery.event.stored
  if (key === undefined) return
  const line = lane.keyed.get(key)!
  const wasFirst = line[0] === delivery
  line.splice(line.indexOf(delivery), 1)
  if (line.length === 0) lane.keyed.delete(key)
  else if (wasFirst && line[0]!.status === 'pending') enqueue(line[0]!)
}

/** Why a lane is not claimed at all. */
export function laneHeld(lane: Lane): 'paused' | 'disabled' | null {
  if (lane.row.state === 'disabled') return 'disabled'
  return lane.row.state === 'paused' || lane.scopePaused ? 'paused' : null
}

/** To be called when a lane's state or its scope's pause has changed. */
export function holdOrFree(lane: Lane, nowMs: number): void {
  lane.heldSinceMs = laneHeld(lane) === null ? null : (lane.heldSinceMs ?? nowMs)
}

/** Ends a lane by what its receiver has answered. */
export function disable(lane: Lane, reason: string, nowMs: number): void {
  lane.row = { ...lane.row, state: 'disabled', disabledReason: reason, revision: lane.row.revision + 1 }
  holdOrFree(lane, nowMs)
}

/** What may be claimed of a lane next, and from when on; null when nothing waits for time alone. */
export function nextOf(lane: Lane, nowMs: number): { readonly delivery: KeptDelivery; readonly atMs: number } | null {
  const { health, row } = lane
  if (lane.removed || laneHeld(lane) !== null || health.inFlight >= laneCapacity(health, row.rules)) return null
  const live = first(lane.live, false)
  const again = health.redriven < redrivenCapacity(health, row.rules) ? first(lane.again, true) : undefined
  if (live === undefined && again === undefined) return null
  const opensMs = laneOpensMs(health, row.rules)
  const liveMs = Math.max(opensMs, live?.dueMs ?? Infinity)
  const againMs = Math.max(opensMs, again?.dueMs ?? Infinity)
  // Behind the live ones, but not behind those that wait for another try.
  return live !== undefined && liveMs <= Math.max(againMs, nowMs)
    ? { delivery: live, atMs: liveMs }
    : { delivery: again!, atMs: againMs }
}

/** What a claim is told of its endpoint: the same object until the row changes or a secret ends. */
export function servedOf(lane: Lane, nowMs: number): Claim['endpoint'] {
  const { row, served } = lane
  if (lane.isHandler) return null
  if (served !== null && served.row === row && served.untilMs > nowMs) return served.endpoint
  const secrets = row.secrets.filter(({ untilMs }) => untilMs === null || untilMs > nowMs)
  const untilMs = Math.min(...secrets.map((secret) => secret.untilMs ?? Infinity))
  lane.served = { row, untilMs, endpoint: { config: row.config, secrets } }
  return lane.served.endpoint
}
