import type { Clock } from '@keelson/kernel'
import type { HandlerRow } from '../store.ts'
import type { Lane } from './lane.ts'
import { createLeases, type Leases } from './leases.ts'
import { createReadyLanes, type ReadyLanes } from './ready-lanes.ts'
import type { KeptDelivery, KeptEvent } from './rows.ts'

/** All that a store keeps. Each part of the store changes it in one go: nothing here waits. */
export interface State {
  /** Ms since the epoch by the store's clock. */
  now(): number
  readonly scopes: Map<string, Scope>
  readonly handlers: Map<string, HandlerRow>
  /** Events by correlation id. */
  readonly traces: Map<string, KeptEvent[]>
  readonly ready: ReadyLanes
  readonly leases: Leases
  readonly wakers: Set<() => void>
  unrouted: KeptEvent[]
  handlersRevision: number
  allPaused: boolean
  /** Of the last event. */
  order: number
  /** The last one that was given. */
  fence: number
}

/** What is of one tenant. */
export interface Scope {
  readonly name: string
  readonly events: Map<string, KeptEvent>
  readonly endpoints: Map<string, Lane>
  readonly deliveries: Map<string, KeptDelivery>
  revision: number
  paused: boolean
  router: { readonly token: string; readonly endsMs: number } | undefined
  unrouted: number
}

export function createState(clock: Clock): State {
  // One time for all: the wall clock when it began, and then only what has elapsed.
  const beganMs = clock.now() - clock.monotonic()
  return {
    now: () => Math.floor(beganMs + clock.monotonic()),
    scopes: new Map(),
    handlers: new Map(),
    traces: new Map(),
    ready: createReadyLanes(),
    leases: createLeases(),
    wakers: new Set(),
    unrouted: [],
    handlersRevision: 0,
    allPaused: false,
    order: 0,
    fence: 0,
  }
}

/** A scope is there from its first row on. */
export function scopeOf({ scopes }: State, name: string): Scope {
  let scope = scopes.get(name)
  if (scope === undefined) {
    scope = {
      name,
      events: new Map(),
      endpoints: new Map(),
      deliveries: new Map(),
      revision: 0,
      paused: false,
      router: undefined,
      unrouted: 0,
    }
    scopes.set(name, scope)
  }
  return scope
}

/** Of a scope's audience. */
export function revisionOf({ handlersRevision }: State, scope: Scope | undefined): string {
  return `${scope?.revision ?? 0}:${handlersRevision}`
}

/** Something may have become due. */
export function wake({ wakers }: State): void {
  for (const waker of wakers) waker()
}
