import type { Clock, Component, Duration, Effect, Logger, StandardSchemaV1, Status, Tx } from '@keelson/kernel'
import type { Attempt, Delivery, DeliveryStatus } from './delivery.ts'
import type { Endpoint, EndpointChange, EndpointDefaults, EndpointInput } from './endpoint.ts'
import type { MatchingTypes } from './matching-types.ts'
import type { NetworkOptions } from './network-options.ts'
import type { EncryptionKey, EncryptionProvider } from './encryption.ts'
import type { WebhookStore } from './store.ts'

/** The types of events that may be sent. */
export type EventCatalog = Readonly<Record<string, EventKind>>

/** One type of events. */
export interface EventKind {
  /** Written into the body as `version`, a positive integer. */
  readonly version?: number
  /** Checks the data, synchronously; what it answers is sent. */
  readonly schema?: StandardSchemaV1
  /** What of the data is sent: receivers of thin events fetch the rest. Filters see what is sent. */
  readonly thin?: (data: any) => unknown
}

/** The names in a catalogue; any without one. */
export type TypeOf<C extends EventCatalog> = keyof C & string

/** What handlers get of a type: what `thin` leaves of what its schema answers. */
export type SentOf<C extends EventCatalog, T extends TypeOf<C>> = C[T] extends {
  readonly thin: (data: any) => infer Thin
}
  ? Thin
  : C[T] extends { readonly schema: StandardSchemaV1<any, infer Output> }
    ? Output
    : unknown

/** What a handler of these types gets: its `type` tells its `data`. */
export type HandledEvent<C extends EventCatalog, T extends TypeOf<C>> =
  T extends TypeOf<C> ? WebhookEvent<T, SentOf<C, T>> : never

/** One event of `sendMany`. */
export type EventOf<C extends EventCatalog> = {
  readonly [T in TypeOf<C>]: { readonly type: T; readonly data: DataOf<C, T> } & SendOptions
}[TypeOf<C>]

/** The data of a type: its schema's input. */
export type DataOf<C extends EventCatalog, T extends TypeOf<C>> = C[T] extends {
  readonly schema: StandardSchemaV1<infer Input, any>
}
  ? Input
  : unknown

/** What `createWebhooks` takes; durations as ms or '5s'. */
export interface WebhooksOptions<C extends EventCatalog = EventCatalog> {
  readonly store: WebhookStore
  /**
   * Secrets of endpoints at rest: the first key (32 bytes, raw or base64) encrypts with AES-256-GCM, all decrypt; or a
   * provider; or 'plaintext', spelled out.
   */
  readonly encryption: readonly EncryptionKey[] | EncryptionProvider | 'plaintext'
  /** Absent: any type. Present: others are refused, data is typed and checked by the schemas. */
  readonly events?: C
  /** For endpoints that do not say otherwise. */
  readonly endpoint?: EndpointDefaults
  readonly network?: NetworkOptions
  readonly dispatcher?: DispatcherOptions
  readonly retention?: RetentionOptions
  /** Of one event's body; default 262,144. */
  readonly maxPayloadBytes?: number
  /** Default 1,000. */
  readonly maxEndpointsPerScope?: number
  /** Operational events are also sent as 'webhooks.*' events in this scope; nowhere by default. */
  readonly operationalScope?: string
  /** Of the signature headers; default 'webhook', 'svix' for migrations. */
  readonly headerPrefix?: string
  /** What of the event's context its attempts carry; both by default. */
  readonly propagate?: readonly ('traceparent' | 'x-correlation-id')[]
  /** How long the store may take to answer a caller; default 250 ms. */
  readonly storeTimeout?: Duration
  readonly clock?: Clock
  readonly logger?: Logger
}

/** How a node delivers. */
export interface DispatcherOptions {
  /** Attempts at once that are not slow; default 64. */
  readonly concurrency?: number
  /** An attempt that is older leaves its slot for a slow one; default 250 ms. */
  readonly slowAfter?: Duration
  /** Slow attempts at once; default 1,024. */
  readonly slowConcurrency?: number
  /** How often the store is asked without a hint; default 1 s. */
  readonly pollInterval?: Duration
  /** How much longer than its timeout an attempt is leased; default 5 s. */
  readonly leaseMargin?: Duration
  /** Ends of attempts are told together, so often; default 5 ms. */
  readonly settleEvery?: Duration
}

/** How long things are kept; 30 days each by default. */
export interface RetentionOptions {
  readonly attempts?: Duration
  /** Those that have ended. */
  readonly deliveries?: Duration
  /** Also how long an id is known. */
  readonly events?: Duration
  /** Deliveries to paused or disabled endpoints; then they are dead as 'expired'. */
  readonly held?: Duration
}

/** Of one event. */
export interface SendOptions {
  /** The tenant whose endpoints listen. */
  readonly scope: string
  /** What receivers drop duplicates by; 1 to 128 of `[A-Za-z0-9._:-]`. A new one by default. */
  readonly id?: string
  /** FIFO per key and endpoint: the next one goes when the earlier has ended. */
  readonly key?: string
  /** Endpoints with channels listen to theirs alone. */
  readonly channel?: string
  /** Whom it is about, for export and erasure. */
  readonly subject?: string
  readonly notBefore?: Date
}

/** An event as receivers and handlers get it. */
export interface WebhookEvent<T extends string = string, D = any> {
  readonly id: string
  readonly scope: string
  readonly type: T
  /** When it was published, by the clock of the publisher. */
  readonly timestamp: Date
  readonly version?: number
  /** Null once it is erased. */
  readonly data: D
  readonly key?: string
  readonly channel?: string
  readonly subject?: string
  readonly correlationId?: string
}

/** What a handler knows beside the event. */
export interface HandlerOperation {
  /** `<name>:<event id>`: for `idempotency.transaction`, since a late run may overlap the next one. */
  readonly dedupeKey: string
  /** 1 for the first. */
  readonly attempt: number
  /** Aborts at the timeout. */
  readonly signal: AbortSignal
}

/** What one handler listens to. */
export interface HandlerOptions extends Pick<EndpointDefaults, 'concurrency' | 'timeout' | 'retry'> {
  /** Patterns: `*` is one segment, a `**` at the end the rest. */
  readonly types: readonly string[]
  /** All scopes by default. */
  readonly scope?: string
}

/** What operators may want to hear. */
export type OperationalEvent =
  | 'endpoint.failing'
  | 'endpoint.disabled'
  | 'endpoint.recovered'
  | 'delivery.dead'
  | 'delivery.succeeded'

/** One of them. */
export interface OperationalNotice {
  readonly name: OperationalEvent
  readonly scope: string
  readonly endpoint: string
  readonly delivery?: string
  readonly event?: string
  readonly type?: string
  /** Why it is disabled or dead. */
  readonly reason?: string
  /** Of the time after which a failing endpoint is disabled: 50, 70 or 90. */
  readonly percent?: number
}

/** A row of a scope. */
export interface Ref {
  readonly scope: string
  readonly id: string
}

/** Which page: `after` is the `next` of the one before; at most 200 items, 50 by default. */
export interface PageQuery {
  readonly after?: string
  readonly limit?: number
}

/** A page; `next` is null on the last one. */
export interface Page<T> {
  readonly items: T[]
  readonly next: string | null
}

/** What deliveries to look for. `from` is included, `to` is not; both of the time of routing. */
export interface DeliveriesQuery extends PageQuery {
  readonly scope: string
  readonly endpoint?: string
  readonly event?: string
  readonly type?: string
  readonly status?: DeliveryStatus
  readonly from?: Date
  readonly to?: Date
}

/** Which deliveries go again; at most 50 a second unless told otherwise. */
export interface RedriveQuery {
  readonly scope: string
  readonly endpoint?: string
  readonly from?: Date
  readonly to?: Date
  /** Default 'dead'. */
  readonly status?: 'dead' | 'cancelled'
  readonly perSecond?: number
}

/** A key of a user who signs requests to us, without its secret. */
export interface SigningKeyInfo {
  readonly keyId: string
  readonly principal: string
  readonly createdAt: Date
  readonly expiresAt: Date | null
}

/** How the webhooks of an application are. */
export interface WebhooksStatus extends Status {
  readonly counts: {
    readonly unrouted: number
    readonly pending: number
    readonly delivering: number
    readonly held: number
    readonly dead: number
    readonly slotsFast: number
    readonly slotsSlow: number
    readonly endpointsActive: number
    readonly endpointsPaused: number
    readonly endpointsDisabled: number
    readonly breakersOpen: number
  }
}

/** Endpoints: who is called. */
export interface Endpoints {
  /** The only time, besides `secrets`, that the secret is told. */
  create(input: EndpointInput & { readonly scope: string }): Promise<Endpoint & { readonly secret: string }>
  get(ref: Ref): Promise<Endpoint>
  /** Oldest first. */
  list(q: { readonly scope: string } & PageQuery): Promise<Page<Endpoint>>
  /**
   * With `revision` only that one is changed, else REVISION_CONFLICT. Members of `set` that are undefined stay, those
   * that are null go back to the default. Secrets change by `rotateSecret`.
   */
  update(q: Ref & { readonly revision?: number; readonly set: EndpointChange }): Promise<Endpoint>
  /** Its open deliveries end as cancelled. */
  delete(ref: Ref): Promise<void>
  /** Deliveries wait, none is lost. One that is disabled stays so, as with `resume`: `enable` is for those. */
  pause(ref: Ref): Promise<Endpoint>
  resume(ref: Ref): Promise<Endpoint>
  /** As `pause`, but it says that something is wrong: `reason` is kept. */
  disable(q: Ref & { readonly reason?: string }): Promise<Endpoint>
  /** Also forgets its failures. */
  enable(ref: Ref): Promise<Endpoint>
  /** The old secret signs too, for `overlap` (24 h by default). */
  rotateSecret(
    q: Ref & { readonly overlap?: Duration; readonly secret?: string },
  ): Promise<{ readonly secret: string; readonly previousUntil: Date | null }>
  secrets(ref: Ref): Promise<{ readonly secret: string; readonly until: Date | null }[]>
  /** Of an endpoint that signs 'v1a'. */
  publicKeys(ref: Ref): Promise<{ readonly keys: string[]; readonly jwks: { readonly keys: object[] } }>
  /** Sends 'webhooks.ping' to this endpoint alone. */
  ping(ref: Ref): Promise<{ readonly id: string }>
}

/** Deliveries: what became of events. */
export interface Deliveries {
  get(ref: Ref): Promise<Delivery>
  /** Newest first. */
  list(q: DeliveriesQuery): Promise<Page<Delivery>>
  /** Oldest first. */
  attempts(q: Ref & PageQuery): Promise<Page<Attempt>>
  /** Now, with the same id and a fresh budget of attempts. */
  retry(ref: Ref): Promise<Delivery>
  /** Starts to move final deliveries back, at a pace; what ends later stays. */
  redrive(q: RedriveQuery): Promise<{ readonly id: string }>
  redriveStatus(ref: Ref): Promise<{ readonly state: 'running' | 'done'; readonly moved: number }>
  /** Ends open deliveries; answers how many. */
  cancel(q: { readonly scope: string; readonly id?: string; readonly endpoint?: string }): Promise<number>
}

/** Keys of users who sign requests to us; `resolve` fits `requestVerifier`'s `keys`. */
export interface SigningKeys {
  create(i: {
    readonly scope: string
    readonly principal: string
    readonly expiresIn?: Duration
  }): Promise<{ readonly keyId: string; readonly secret: string }>
  /** A new key for the same principal; the old one ends after `overlap` (24 h by default). */
  rotate(i: {
    readonly scope: string
    readonly keyId: string
    readonly overlap?: Duration
  }): Promise<{ readonly keyId: string; readonly secret: string }>
  revoke(i: { readonly scope: string; readonly keyId: string }): Promise<void>
  list(q: { readonly scope: string; readonly principal?: string }): Promise<SigningKeyInfo[]>
  /** Null for one that is unknown or has ended. */
  resolve(keyId: string): Promise<{
    readonly alg: 'hmac-sha256'
    readonly key: string
    readonly scope: string
    readonly principal: string
  } | null>
}

/** Webhooks of one application. */
export interface Webhooks<C extends EventCatalog = EventCatalog> extends Component {
  /**
   * An event as an effect of a transaction: its bytes are fixed now, its id is known before the commit.
   * @throws WebhookError of the input; SCHEMA_ASYNC
   */
  event<T extends TypeOf<C>>(
    type: T,
    data: DataOf<C, T>,
    o: SendOptions,
  ): Effect & { readonly kind: 'webhook.event'; readonly id: string }
  /** Resolves when the event is durable; with `tx`, when it is written there. */
  send<T extends TypeOf<C>>(
    type: T,
    data: DataOf<C, T>,
    o: SendOptions & { readonly tx?: Tx },
  ): Promise<{ readonly id: string; readonly duplicate: boolean }>
  /**
   * At most 1,000, in one round trip: all are written or none. One whose id is another event's is not written and makes
   * it EVENT_CONFLICT, with their ids in `details`; the others are sent.
   */
  sendMany(
    events: readonly EventOf<C>[],
    o?: { readonly tx?: Tx },
  ): Promise<{ readonly id: string; readonly duplicate: boolean }[]>
  /**
   * Calls `fn` for events as an endpoint is called: durably, with retries and dead letters. Before `start()`. Of a
   * catalogue `fn` gets those that `types` match.
   */
  handle<const P extends string>(
    name: string,
    o: HandlerOptions & { readonly types: readonly P[] },
    fn: (event: HandledEvent<C, MatchingTypes<P, TypeOf<C>>>, op: HandlerOperation) => unknown,
  ): void
  handle<T extends TypeOf<C>>(
    name: string,
    o: HandlerOptions,
    fn: (event: HandledEvent<C, T>, op: HandlerOperation) => unknown,
  ): void
  readonly endpoints: Endpoints
  readonly events: { get(ref: Ref): Promise<WebhookEvent & { readonly deliveries: Delivery[] }> }
  readonly deliveries: Deliveries
  readonly signingKeys: SigningKeys
  /** Wipes the events of a subject and cancels their open deliveries. */
  eraseSubject(scope: string, subject: string): Promise<{ readonly events: number; readonly cancelled: number }>
  exportSubject(scope: string, subject: string): AsyncIterable<WebhookEvent>
  /** Stops all deliveries of a scope, or all; kept by the store. */
  pause(q?: { readonly scope?: string }): Promise<void>
  resume(q?: { readonly scope?: string }): Promise<void>
  /** Answers how to stop listening. */
  on(name: OperationalEvent, fn: (notice: OperationalNotice) => void): () => void
  /** Delivers on this node; every node may. */
  start(): Promise<void>
  /** Claims nothing any more and waits for attempts under way for `drain` (10 s by default); then they are given back. */
  stop(o?: { readonly drain?: Duration }): Promise<void>
  /** Delivers until nothing is due; begins nothing after the budget. */
  runOnce(o?: { readonly budget?: Duration }): Promise<{ readonly done: boolean }>
  inspect(): Promise<WebhooksStatus>
}
