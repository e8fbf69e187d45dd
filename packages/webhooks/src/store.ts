import type { Statement, Tx } from '@keelson/kernel'
import type { AttemptOutcome, DeadReason, Delivery, DeliveryStatus } from './delivery.ts'
import type { LaneHealth, LaneNotice, LaneRules, LaneSignal } from './lane.ts'

/*
 * Words. Event: what happened, its bytes written once. Delivery: an event on its way to one endpoint. Lane: the queue of
 * one endpoint, with its health; 'fn:<name>' is the lane of a handler in one scope. Route: turn a committed event into
 * its deliveries. Audience: who may receive the events of a scope; its revision changes with every endpoint and handler.
 * Claim: a lease on one delivery, with a fence that grows with each claim of it. Settle: say how a claim ended. Held: a
 * lane that is not claimed, whatever is due. Redriven: a delivery that was final and goes again, behind the live ones.
 * Handlers have lanes as endpoints have: a row 'fn:<name>' with an empty `config` and no secrets, made by `route` with
 * the handler's rules where it is missing. Neither `list` nor an audience's `endpoints` nor a limit count it.
 *
 * All times are the store's: `...AtMs` are ms since the epoch by its clock.
 */

/** An event as it is published. */
export interface NewEvent {
  readonly scope: string
  readonly id: string
  readonly type: string
  /** What every attempt to every endpoint sends. */
  readonly body: Uint8Array
  /** SHA-256 of type, version and data in hex, without the timestamp: tells a repeat from another event of this id. */
  readonly digest: string
  /** FIFO per key and endpoint. */
  readonly key?: string
  readonly channel?: string
  readonly subject?: string
  readonly notBeforeMs?: number
  /** To this endpoint alone, whatever it listens to. */
  readonly endpoint?: string
  readonly correlationId?: string
  readonly traceparent?: string
  /** Its deliveries, when the caller has matched already; the store routes at once if nothing has changed since. */
  readonly matched?: Matched
}

/** An event as it is kept. */
export interface StoredEvent extends Omit<NewEvent, 'matched' | 'digest' | 'notBeforeMs'> {
  readonly createdAtMs: number
  /** Its bytes are gone. */
  readonly erased: boolean
}

/** The deliveries of an event, matched against the audience of this revision. */
export interface Matched {
  readonly revision: string
  readonly deliveries: readonly { readonly id: string; readonly endpoint: string }[]
}

/** A committed event without deliveries. */
export interface Unrouted {
  readonly event: StoredEvent
  /** Of its scope's audience now. */
  readonly revision: string
  /** Proves that this router has it. */
  readonly token: string
}

/** What became of an unrouted event. */
export interface Route {
  readonly scope: string
  readonly event: string
  readonly token: string
  readonly matched: Matched
}

/** Who may receive the events of a scope. */
export interface Audience {
  readonly revision: string
  readonly endpoints: readonly { readonly id: string; readonly config: string }[]
  readonly handlers: readonly { readonly name: string; readonly types: readonly string[] }[]
}

/** A function of the application that receives events. */
export interface HandlerRow {
  readonly name: string
  readonly types: readonly string[]
  /** Null: all scopes. */
  readonly scope: string | null
  readonly rules: LaneRules
}

/** A secret as it is kept; the last one is current. */
export interface SealedSecret {
  readonly sealed: Uint8Array
  /** Signs no more from then on; null for the current one. */
  readonly untilMs: number | null
}

/** An endpoint as it is written. */
export interface EndpointRow {
  readonly scope: string
  readonly id: string
  readonly state: 'active' | 'paused' | 'disabled'
  readonly disabledReason: string | null
  /** Url, types and all else that the core alone reads: JSON. */
  readonly config: string
  /** The current one first. */
  readonly secrets: readonly SealedSecret[]
  readonly rules: LaneRules
}

/** An endpoint as it is read. */
export interface StoredEndpoint extends EndpointRow {
  /** 1 when created, +1 with each change; health changes nothing. */
  readonly revision: number
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly health: LaneHealth
}

/** What proves a claim. */
export interface ClaimToken {
  readonly scope: string
  readonly endpoint: string
  readonly delivery: string
  readonly fence: number
}

/** A delivery that is ours to attempt until its lease ends. */
export interface Claim {
  readonly token: ClaimToken
  /** Of the lease, from the claim on: `rules.leaseMs` of its lane. */
  readonly leaseMs: number
  /** Attempts spent over all lives, and since the last retry or redrive. */
  readonly attempts: number
  readonly spent: number
  readonly event: StoredEvent
  /** As of now; null for a handler. */
  readonly endpoint: { readonly config: string; readonly secrets: readonly SealedSecret[] } | null
  /** Its lane was suspect when it was claimed. */
  readonly suspect: boolean
}

/** An attempt as it is kept. */
export interface AttemptRow {
  readonly durationMs: number
  readonly outcome: AttemptOutcome
  readonly status: number | null
  readonly remoteAddress: string | null
  readonly response: string | null
  readonly error: string | null
}

/** An attempt as it is read; they are ordered by fence. */
export interface StoredAttempt extends AttemptRow {
  readonly fence: number
  readonly number: number
  readonly atMs: number
}

/** How a claim ended. */
export interface Settlement {
  readonly token: ClaimToken
  /** Null: nothing was tried, and nothing is spent; only with `release`. */
  readonly attempt: AttemptRow | null
  readonly end:
    | { readonly kind: 'succeeded' }
    | { readonly kind: 'retry' | 'release'; readonly afterMs: number }
    | { readonly kind: 'dead'; readonly reason: Exclude<DeadReason, 'poison' | 'expired'> }
  readonly signal: LaneSignal
  /** As the endpoint has them now: defaults of the application may have changed since it was written. */
  readonly rules?: LaneRules
}

/**
 * 'stale': the lease was lost. The attempt is kept as such, in the place of a 'crashed' one of its fence, without its
 * response when the event is erased; nothing else has changed.
 */
export type Settled = { readonly kind: 'ok'; readonly notices: readonly LaneNotice[] } | { readonly kind: 'stale' }

/** A claim whose lease ended: pending again without an attempt spent, or dead as poison. */
export interface Reaped {
  readonly scope: string
  readonly endpoint: string
  readonly delivery: string
  readonly event: string
  readonly type: string
  readonly dead: boolean
}

/** A delivery as it is read. */
export interface DeliveryRow extends Omit<Delivery, 'nextAttemptAt' | 'createdAt' | 'finishedAt'> {
  readonly nextAttemptAtMs: number | null
  readonly createdAtMs: number
  readonly finishedAtMs: number | null
}

/** Which deliveries of a scope; all that is given must hold. `fromMs` is included, `toMs` is not. */
export interface DeliveryQuery {
  readonly scope: string
  readonly endpoint?: string
  readonly event?: string
  readonly type?: string
  readonly status?: DeliveryStatus
  /** Of `createdAtMs`. */
  readonly fromMs?: number
  readonly toMs?: number
}

/** A page by its last row: `after` is not part of it. */
export interface PageOf<C> {
  readonly after?: C
  readonly limit: number
}

/** Final deliveries that go again, at a pace. */
export interface RedriveRow {
  readonly id: string
  readonly scope: string
  readonly endpoint?: string
  readonly fromMs?: number
  readonly toMs?: number
  readonly status: 'dead' | 'cancelled'
  readonly perSecond: number
}

/** A key of a user who signs requests to us. */
export interface KeyRow {
  readonly keyId: string
  readonly scope: string
  readonly principal: string
  readonly sealed: Uint8Array
  readonly createdAtMs: number
  readonly expiresAtMs: number | null
}

/** How long what has ended is kept, ms. */
export interface Retention {
  readonly attemptsMs: number
  readonly deliveriesMs: number
  /** Also how long an id is known. An event lives on while one of its deliveries is kept. */
  readonly eventsMs: number
  /** Of a delivery on a paused or disabled lane; then it is dead as 'expired'. */
  readonly heldMs: number
}

/** Numbers for operators. */
export interface StoreStatus {
  readonly counts: {
    readonly unrouted: number
    /** Open, not leased; `held` are part of it. */
    readonly pending: number
    readonly delivering: number
    /** On paused or disabled lanes and in paused scopes. */
    readonly held: number
    readonly dead: number
    readonly endpointsActive: number
    readonly endpointsPaused: number
    readonly endpointsDisabled: number
    readonly breakersOpen: number
  }
  /** How long the oldest delivery has been due that nothing holds; 0 without one. */
  readonly oldestDueMs: number
  /** Age of the oldest unrouted event; 0 without one. */
  readonly unroutedMs: number
  /** Events whose id came a second time with other content inside a transaction, since the store was made. */
  readonly conflicts: number
}

/** What its rows know of one correlation id. */
export interface TraceRow {
  readonly atMs: number
  readonly kind: 'event' | 'attempt'
  readonly text: string
}

/**
 * Where events, lanes and deliveries live. Each method is one atomic step, timed by the store's clock alone; methods
 * reject when the store cannot serve, and the core bounds each call in time. A row of another scope does not exist.
 */
export interface WebhookStore {
  readonly kind: string
  /** True: `publish` takes a `tx`, and `publishStatements` is there. */
  readonly transactional: boolean
  /**
   * Writes events, all or none, touching no endpoint and no lane; in the order given. 'duplicate' is a repeat of what is
   * there, 'conflict' the same id with another digest: the first one stays. With `matched` of the current revision, and
   * nothing of its scope still unrouted, an event is routed in the same step. 1 round trip.
   */
  publish(events: readonly NewEvent[], tx?: Tx): Promise<('fresh' | 'duplicate' | 'conflict')[]>
  /** The same as statements of somebody's transaction; what is in conflict there is counted later. */
  publishStatements?(events: readonly NewEvent[]): readonly Statement[]
  /**
   * At most `limit` committed events for this caller for `leaseMs`, in order of commit within a scope; a scope is taken
   * by one router at a time. A transaction that commits late is only late: none is skipped.
   */
  takeUnrouted(limit: number, leaseMs: number): Promise<readonly Unrouted[]>
  /**
   * Makes the deliveries of events; each event once. 'stale': its token is not the last one; 'moved': the audience has
   * another revision, match again. Endpoints that are gone are left out, and an erased event has none. A keyed
   * delivery waits for the open ones of its key and endpoint.
   */
  route(routes: readonly Route[]): Promise<('ok' | 'stale' | 'moved')[]>
  /** Who listens in a scope. */
  audience(scope: string): Promise<Audience>
  /** Adds or changes handlers by name; the audience gets a new revision only if something changed. */
  registerHandlers(rows: readonly HandlerRow[]): Promise<void>
  /**
   * Leases at most `limit` due deliveries, at most one of a lane, the lane that waits longest first: since its delivery
   * is due and since its last claim, so that nobody starves behind another's backlog. A lane is passed over while it is
   * held, blocked, open, out of rate, or has `limit` in flight over all processes; suspect ones too without `suspects`;
   * handlers' but those named. An open breaker whose time is over gives one. Redriven deliveries come behind live ones,
   * at most max(1, limit / 4) of a lane in flight.
   */
  claim(q: {
    readonly limit: number
    readonly owner: string
    readonly suspects: boolean
    readonly handlers: readonly string[]
  }): Promise<readonly Claim[]>
  /**
   * Ends claims: attempt, delivery and lane, all or nothing for each. A lease that is over but not reaped yet is still
   * the claim's. Repeatable: a repeat is 'stale' and adds no row.
   */
  settle(settlements: readonly Settlement[]): Promise<readonly Settled[]>
  /** These attempts take long: their lanes are suspect with a limit of 1. Lost leases are ignored. */
  slow(tokens: readonly ClaimToken[]): Promise<void>
  /** Ends at most `limit` leases that are over; the fifth in a row of a delivery is its end. */
  reap(limit: number): Promise<readonly Reaped[]>
  /** Ms until something may be claimed, reaped or routed, 0 now; null when nothing waits for time. */
  nextDue(q: { readonly handlers: readonly string[] }): Promise<number | null>
  /** Calls `fn` when something may have become due: a hint, polling is the truth. Answers how to stop. */
  onWake(fn: () => void): Promise<() => Promise<void>>
  /** Stops or starts all lanes of a scope, or of all scopes (null); those to come too. */
  pause(scope: string | null, paused: boolean): Promise<void>
  readonly endpoints: EndpointRows
  readonly events: EventRows
  readonly deliveries: DeliveryRows
  readonly signingKeys: KeyRows
  /** Removes at most about `limit` rows that are over, ends what was held too long, and says how many. 0: nothing left. */
  sweep(limit: number, retention: Retention): Promise<number>
  inspect(): Promise<StoreStatus>
  /** Resolves when the store answers. */
  health(): Promise<void>
  close(): Promise<void>
}

/** Endpoints of scopes, with their lanes. */
export interface EndpointRows {
  /** 'limit': the scope has `max` endpoints, or the id exists. */
  insert(row: EndpointRow, max: number): Promise<StoredEndpoint | 'limit'>
  get(scope: string, id: string): Promise<StoredEndpoint | null>
  /** By id, ascending. */
  list(scope: string, page: PageOf<string>): Promise<readonly StoredEndpoint[]>
  /** Replaces the row of this revision; `heal` forgets failures, breaker, blocks and suspicion. */
  put(row: EndpointRow, revision: number, heal: boolean): Promise<StoredEndpoint | 'conflict' | null>
  /** False when there is none. Its open deliveries are cancelled, at the latest by `sweep`, and never claimed again. */
  remove(scope: string, id: string): Promise<boolean>
}

/** Events as they are kept. */
export interface EventRows {
  get(scope: string, id: string): Promise<StoredEvent | null>
  /** By time of publishing, ascending; `after` is an event's id. */
  bySubject(scope: string, subject: string, page: PageOf<string>): Promise<readonly StoredEvent[]>
  /** Erases at most `limit` events of a subject: bytes and answers of receivers go, open deliveries are cancelled. */
  erase(scope: string, subject: string, limit: number): Promise<{ readonly events: number; readonly cancelled: number }>
  trace(correlationId: string): Promise<readonly TraceRow[]>
}

/** Deliveries as they are kept. */
export interface DeliveryRows {
  get(scope: string, id: string): Promise<DeliveryRow | null>
  /** Newest id first; a page may be short before the end only when it is empty of matches so far, see `next`. */
  list(
    query: DeliveryQuery,
    page: PageOf<string>,
  ): Promise<{ readonly rows: readonly DeliveryRow[]; readonly next: string | null }>
  /** By fence, ascending; null for no such delivery. */
  attempts(scope: string, id: string, page: PageOf<number>): Promise<readonly StoredAttempt[] | null>
  /** Due now with nothing spent, whatever its state; one that is leased stays as it is. Null for none. */
  retry(scope: string, id: string): Promise<DeliveryRow | null>
  /** Cancels at most `limit` open deliveries, leased ones too, and says how many. */
  cancel(
    q: { readonly scope: string; readonly id?: string; readonly endpoint?: string },
    limit: number,
  ): Promise<number>
  startRedrive(row: RedriveRow): Promise<void>
  redriveStatus(
    scope: string,
    id: string,
  ): Promise<{ readonly state: 'running' | 'done'; readonly moved: number } | null>
  /** Moves what the pace of each redrive allows by now, at most `limit`; those that ended after its start stay. */
  redriveStep(limit: number): Promise<number>
}

/** Keys of users. */
export interface KeyRows {
  insert(row: Omit<KeyRow, 'createdAtMs' | 'expiresAtMs'>, expiresInMs: number | null): Promise<KeyRow>
  /** Also an expired one. */
  get(keyId: string): Promise<KeyRow | null>
  list(scope: string, principal?: string): Promise<readonly KeyRow[]>
  /** Ends a key in `inMs`, or earlier when it ends earlier; false when there is none. */
  expire(scope: string, keyId: string, inMs: number): Promise<boolean>
}
