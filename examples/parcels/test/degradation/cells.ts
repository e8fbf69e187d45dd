import type { StoreName } from './stores.ts'

/** What a feature answers while its store is refused, frozen or slow, and when it is back. `docs/degradation.md` shows it. */
export interface Cell {
  readonly feature: string
  readonly away: string
  readonly back: string
}

/** Parcels on Postgres alone: claims, rows, entries, events, cached answers and limits are all in it. */
export const parcelsOnPostgres = {
  booking: {
    feature: 'a booking: claim, row, audit entry, webhook event, sync change and answer in one commit',
    away: '503 `store-unavailable` with `Retry-After`; nothing ran, and nothing of it is sent later',
    back: 'the same key runs once: one row, one entry, one event, one answer',
  },
  repeat: {
    feature: 'a repeat of a booking that was answered before',
    away: '503 with `Retry-After`, and no second run',
    back: 'the same bytes, `Idempotent-Replayed: true`',
  },
  ownReads: {
    feature: "the application's own SQL behind a guard, with a cache on the same database in front or none",
    away: '503 with `Retry-After`',
    back: 'what is in the database',
  },
  limit: {
    feature: 'rate limit, `local` (default)',
    away: 'this node admits limit / nodes, then 429; no `RateLimit` fields, for nobody knows',
    back: 'the shared count, `RateLimit` fields again',
  },
  sync: {
    feature: 'sync push and pull, and a device with an edit in its outbox',
    away: '503 with `Retry-After`; the device keeps the edit',
    back: 'the edit is applied once, nothing is pending',
  },
  management: {
    feature: 'management APIs: webhooks, audit, erasure',
    away: '503 with `Retry-After`',
    back: 'served',
  },
  any: {
    feature: 'health and operations',
    away: 'live and ready (`degraded`: the store is not critical), `/ops/status` says `down`, all of them at once',
    back: 'ready is `ok`',
  },
} satisfies Record<string, Cell>

/** Parcels on Postgres, with a Redis for its cache and its limits: the Redis is away. */
export const parcelsWithoutRedis = {
  booking: {
    feature: 'a booking that drops cached answers',
    away: '201; the drop is a row of the same commit, and owed',
    back: 'the drop is applied before anything shared is read, on every node',
  },
  list: {
    feature: 'a cached list, on two nodes',
    away: 'the handler answers (`fwd=bypass`): what was just booked is in it on every node',
    back: 'never an older list than the one before; then hits again',
  },
  limit: {
    feature: 'rate limit, `local` (default)',
    away: 'this node admits limit / nodes, then 429; no `RateLimit` fields',
    back: 'the shared count, `RateLimit` fields again',
  },
  any: {
    feature: 'health and operations',
    away: 'live and ready; `/ops/status` says `degraded`',
    back: '`/ops/status` says `ok`',
  },
} satisfies Record<string, Cell>

/** The same parcels, and the Postgres is away. */
export const parcelsWithoutPostgres = {
  booking: {
    feature: 'a booking',
    away: '503 with `Retry-After`; nothing ran',
    back: 'the same key runs once',
  },
  cachedList: {
    feature: 'a list that is in the cache',
    away: '200, a hit',
    back: 'what was booked since is in it at once',
  },
  loadedList: {
    feature: 'a list that is not',
    away: '503 with `Retry-After`: its loader needs the database',
    back: '200',
  },
} satisfies Record<string, Cell>

/** Each core alone, on either store: what parcels is not configured to do. */
export const onEitherStore = {
  refuse: {
    feature: 'idempotency in front of any handler, `onStoreDown: refuse` (default)',
    away: '503 with `Retry-After`; the handler does not run',
    back: 'the same key runs once',
  },
  unprotected: {
    feature: 'the same, `onStoreDown: run-unprotected`',
    away: '201, `Idempotency-Status: unprotected`, and a counter',
    back: 'protected again: a repeat is replayed',
  },
  atWork: {
    feature: 'work that had begun when the store went away',
    away: 'its own answer: what was done is never turned into an error',
    back: 'it is stored within the lease: a repeat is replayed, one run',
  },
  cachedRead: {
    feature: 'a cached read whose loader does not need the store',
    away: '200 from the handler, `fwd=bypass`, and nothing is kept',
    back: 'a hit again',
  },
  invalidates: {
    feature: 'a write with `invalidates`, no log',
    away: '201; the drop is owed by this node, which serves nothing older itself',
    back: 'no node that reads behind this one gets the older value',
  },
  invalidate: {
    feature: '`cache.invalidate()` called by the application',
    away: '503: it rejects with `STORE_UNAVAILABLE`, and the drop is owed',
    back: 'it resolves',
  },
  localLimit: {
    feature: 'rate limit, `local` on one of two nodes',
    away: 'half of the limit, then 429',
    back: 'the shared count',
  },
  closedLimit: {
    feature: 'rate limit, `onStoreFailure: deny`',
    away: '503 with `Retry-After`, not 429: nobody has asked too often',
    back: 'admitted',
  },
  send: {
    feature: 'webhooks: `send`',
    away: '503: it rejects with `STORE_UNAVAILABLE`',
    back: 'sent, and received',
  },
  inFlight: {
    feature: 'webhooks: an attempt in flight when the store goes away',
    away: 'the receiver is not cut off',
    back: 'settled, or repeated with the same id; the delivery has succeeded',
  },
} satisfies Record<string, Cell>

/** The audit log alone, on Postgres. */
export const auditOnPostgres = {
  spool: {
    feature: 'an audited write with a spool',
    away: '201; its entry is durable in the spool',
    back: 'the spool is drained in order: each entry once',
  },
  required: {
    feature: 'an audited write that is `required`, with or without a spool',
    away: '503 with `Retry-After`; the handler does not run',
    back: '201: what was tried and what became of it are in the log',
  },
  neither: {
    feature: 'an audited write with neither',
    away: '201, and one error line; the missing entry counts in `keelson_http_not_audited_total`',
    back: 'audited again',
  },
} satisfies Record<string, Cell>

/** A heading of the document, what stands under it, and which stores are taken away from it. */
export const table: readonly { title: string; stores: readonly StoreName[]; cells: Record<string, Cell> }[] = [
  { title: 'Parcels on Postgres', stores: ['Postgres'], cells: parcelsOnPostgres },
  { title: 'Parcels on Postgres and Redis: Redis is away', stores: ['Redis'], cells: parcelsWithoutRedis },
  { title: 'Parcels on Postgres and Redis: Postgres is away', stores: ['Postgres'], cells: parcelsWithoutPostgres },
  { title: 'Each core, on Postgres or on Redis', stores: ['Postgres', 'Redis'], cells: onEitherStore },
  { title: 'The audit log, on Postgres', stores: ['Postgres'], cells: auditOnPostgres },
]
