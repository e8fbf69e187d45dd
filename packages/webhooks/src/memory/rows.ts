import type { DeadReason, DeliveryStatus, Held } from '../delivery.ts'
import type { AttemptRow, DeliveryQuery, DeliveryRow, NewEvent, StoredAttempt, StoredEvent } from '../store.ts'
import { laneHeld, type Lane } from './lane.ts'
import type { Lease } from './leases.ts'

/** An event with what only the store knows of it. */
export interface KeptEvent {
  /** As it is handed out, always the same object: a claim copies nothing. Another one once it is erased. */
  stored: StoredEvent
  readonly digest: string
  readonly notBeforeMs: number
  readonly order: number
  routed: boolean
  deliveries: readonly KeptDelivery[]
}

/** A delivery with what only the store knows of it. */
export interface KeptDelivery {
  readonly id: string
  readonly event: KeptEvent
  readonly lane: Lane
  readonly createdAtMs: number
  status: DeliveryStatus
  reason: DeadReason | 'erased' | null
  attempts: number
  /** Since the last retry or redrive. */
  spent: number
  /** Leases that ended by themselves, in a row. */
  crashes: number
  dueMs: number
  redriven: boolean
  /** Behind another open delivery of its key. */
  waits: boolean
  /** While it is `delivering`. */
  lease: Lease | null
  finishedAtMs: number | null
  log: readonly StoredAttempt[]
}

const NOTHING: readonly never[] = []

export function keptEvent(published: NewEvent, nowMs: number, order: number): KeptEvent {
  const { matched: _, digest, notBeforeMs = 0, ...event } = published
  const stored: StoredEvent = { ...event, createdAtMs: nowMs, erased: false }
  return { stored, digest, notBeforeMs, order, routed: false, deliveries: NOTHING }
}

export function keptDelivery(id: string, event: KeptEvent, lane: Lane, nowMs: number): KeptDelivery {
  return {
    id,
    event,
    lane,
    createdAtMs: nowMs,
    status: 'pending',
    reason: null,
    attempts: 0,
    spent: 0,
    crashes: 0,
    dueMs: 0,
    redriven: false,
    waits: false,
    lease: null,
    finishedAtMs: null,
    log: NOTHING,
  }
}

export function isOpen({ status }: KeptDelivery): boolean {
  return status === 'pending' || status === 'delivering'
}

/** Adds to the log of a delivery. A log is as long as it must be: to push would leave room for sixteen more. */
export function note({ log }: KeptDelivery, row: StoredAttempt): readonly StoredAttempt[] {
  return log.length === 0 ? [row] : log.concat([row])
}

export function attemptRow(
  { durationMs, outcome, status, remoteAddress, response, error }: AttemptRow,
  fence: number,
  number: number,
  atMs: number,
): StoredAttempt {
  return { durationMs, outcome, status, remoteAddress, response, error, fence, number, atMs }
}

/** Why an open delivery does not go. */
function heldOf({ lane, status }: KeptDelivery, nowMs: number): Held | null {
  if (status !== 'pending') return null
  const { openUntilMs, blockedBy, blockedUntilMs } = lane.health
  if (blockedBy === 'key' && (blockedUntilMs ?? 0) > nowMs) return 'key'
  return laneHeld(lane) ?? (openUntilMs === null ? null : 'breaker')
}

export function deliveryRow(delivery: KeptDelivery, nowMs: number): DeliveryRow {
  const { id, event, lane, status, reason, attempts, createdAtMs, finishedAtMs } = delivery
  return {
    id,
    scope: event.stored.scope,
    event: event.stored.id,
    type: event.stored.type,
    endpoint: lane.row.id,
    status,
    reason,
    held: heldOf(delivery, nowMs),
    attempts,
    nextAttemptAtMs: status === 'pending' && !delivery.waits ? delivery.dueMs : null,
    createdAtMs,
    finishedAtMs,
  }
}

/** Whether a delivery is what somebody asked for. */
export function matchesQuery(row: DeliveryRow, q: Omit<DeliveryQuery, 'id'>): boolean {
  return (
    (q.endpoint ?? row.endpoint) === row.endpoint &&
    (q.event ?? row.event) === row.event &&
    (q.type ?? row.type) === row.type &&
    (q.status ?? row.status) === row.status &&
    row.createdAtMs >= (q.fromMs ?? -Infinity) &&
    row.createdAtMs < (q.toMs ?? Infinity)
  )
}
