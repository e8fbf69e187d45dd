import { writePageCursor } from '@keelson/kernel/page-cursor'
import type { Attempt, Delivery, DeliveryStatus } from './delivery.ts'
import { WebhookError } from './error.ts'
import { redriveId } from './ids.ts'
import { checkDate, checkGiven, checkMembers, checkName, checkRef, checkScope, inputFailure, shown } from './input.ts'
import { checkLimit, readCursor } from './paging.ts'
import type { DeliveryQuery, DeliveryRow, StoredAttempt, WebhookStore } from './store.ts'
import type { Deliveries } from './webhooks.ts'

const STATUSES: readonly unknown[] = ['pending', 'delivering', 'succeeded', 'dead', 'cancelled']
const REDRIVEN: readonly unknown[] = ['dead', 'cancelled']
const PER_SECOND = 50
const MAX_PER_SECOND = 10_000
/** Of one call to the store. */
const CANCEL_STEP = 500

/** What the deliveries of an application are managed with. */
export interface DeliveryParts {
  readonly store: Pick<WebhookStore, 'deliveries'>
  call<T>(fn: () => Promise<T>): Promise<T>
  /** Something may have become due. */
  wake(): void
  cancelled(by: '' | 'erased', count: number): void
}

export function createDeliveries({ store, call, wake, ...o }: DeliveryParts): Deliveries {
  return {
    async get(ref) {
      const { scope, id } = checkRef('deliveries.get', ref)
      return viewOf(await call(() => store.deliveries.get(scope, id)), 'deliveries.get', id)
    },

    async list(q) {
      const owner = 'deliveries.list'
      checkMembers(owner, q, ['scope', 'endpoint', 'event', 'type', 'status', 'from', 'to', 'after', 'limit'])
      const query = checkQuery(owner, q, STATUSES)
      const limit = checkLimit(owner, q)
      const marked = { list: 'deliveries', ...query }
      const after = readCursor(owner, marked, q.after)
      const { rows, next } = await call(() =>
        store.deliveries.list(query, { limit, ...(after === undefined ? {} : { after }) }),
      )
      const items = rows.map((row) => viewOf(row, owner, row.id))
      return { items, next: next === null ? null : writePageCursor(marked, next) }
    },

    async attempts(q) {
      const owner = 'deliveries.attempts'
      checkMembers(owner, q, ['scope', 'id', 'after', 'limit'])
      const { scope, id } = checkRef(owner, q)
      const limit = checkLimit(owner, q)
      const query = { list: 'attempts', scope, id }
      const after = readCursor(owner, query, q.after)
      const rows = await call(() =>
        store.deliveries.attempts(scope, id, {
          limit: limit + 1,
          ...(after === undefined ? {} : { after: Number(after) }),
        }),
      )
      if (rows === null) throw notFound(owner, id)
      const page = rows.slice(0, limit)
      const next = rows.length > limit ? writePageCursor(query, String(page.at(-1)!.fence)) : null
      return { items: page.map(attemptOf), next }
    },

    async retry(ref) {
      const { scope, id } = checkRef('deliveries.retry', ref)
      const delivery = viewOf(await call(() => store.deliveries.retry(scope, id)), 'deliveries.retry', id)
      wake()
      return delivery
    },

    async redrive(q) {
      const owner = 'deliveries.redrive'
      checkMembers(owner, q, ['scope', 'endpoint', 'from', 'to', 'status', 'perSecond'])
      checkGiven(owner, q, ['endpoint', 'from', 'to'])
      const { perSecond = PER_SECOND } = q
      const query = checkQuery(owner, q, REDRIVEN)
      if (!(typeof perSecond === 'number' && perSecond > 0 && perSecond <= MAX_PER_SECOND)) {
        throw inputFailure(
          `${owner}: "perSecond" must be a number over 0, at most ${MAX_PER_SECOND} (got ${shown(perSecond)})`,
        )
      }
      const id = redriveId()
      await call(() => store.deliveries.startRedrive({ ...query, id, status: q.status ?? 'dead', perSecond }))
      wake()
      return { id }
    },

    async redriveStatus(ref) {
      const { scope, id } = checkRef('deliveries.redriveStatus', ref)
      const status = await call(() => store.deliveries.redriveStatus(scope, id))
      if (status === null) throw notFound('deliveries.redriveStatus', id, 'redrive')
      return status
    },

    async cancel(q) {
      const owner = 'deliveries.cancel'
      checkMembers(owner, q, ['scope', 'id', 'endpoint'])
      checkScope(owner, q.scope)
      checkGiven(owner, q, ['id', 'endpoint'])
      checkName(owner, 'id', q.id)
      checkName(owner, 'endpoint', q.endpoint)
      let cancelled = 0
      for (;;) {
        const some = await call(() => store.deliveries.cancel(q, CANCEL_STEP))
        cancelled += some
        o.cancelled('', some)
        if (some < CANCEL_STEP) return cancelled
      }
    },
  }
}

/** Dates become instants; what is not given is left out. */
function checkQuery(
  owner: string,
  q: {
    readonly scope: string
    readonly endpoint?: string
    readonly event?: string
    readonly type?: string
    readonly status?: DeliveryStatus
    readonly from?: Date
    readonly to?: Date
  },
  statuses: readonly unknown[],
): DeliveryQuery {
  checkScope(owner, q.scope)
  for (const name of ['endpoint', 'event', 'type'] as const) checkName(owner, name, q[name])
  for (const name of ['from', 'to'] as const) checkDate(owner, name, q[name])
  if (q.status !== undefined && !statuses.includes(q.status)) {
    throw inputFailure(`${owner}: "status" must be one of ${statuses.join(', ')} (got ${shown(q.status)})`)
  }
  return {
    scope: q.scope,
    ...(q.endpoint === undefined ? {} : { endpoint: q.endpoint }),
    ...(q.event === undefined ? {} : { event: q.event }),
    ...(q.type === undefined ? {} : { type: q.type }),
    ...(q.status === undefined ? {} : { status: q.status }),
    ...(q.from === undefined ? {} : { fromMs: q.from.getTime() }),
    ...(q.to === undefined ? {} : { toMs: q.to.getTime() }),
  }
}

/** A delivery as its owner sees it. @throws WebhookError NOT_FOUND */
export function viewOf(row: DeliveryRow | null, owner: string, id: string): Delivery {
  if (row === null) throw notFound(owner, id)
  const { nextAttemptAtMs, createdAtMs, finishedAtMs, ...rest } = row
  return {
    ...rest,
    nextAttemptAt: nextAttemptAtMs === null ? null : new Date(nextAttemptAtMs),
    createdAt: new Date(createdAtMs),
    finishedAt: finishedAtMs === null ? null : new Date(finishedAtMs),
  }
}

function attemptOf({
  number,
  atMs,
  durationMs,
  outcome,
  status,
  remoteAddress,
  response,
  error,
}: StoredAttempt): Attempt {
  return { number, at: new Date(atMs), durationMs, outcome, status, remoteAddress, response, error }
}

function notFound(owner: string, id: string, what = 'delivery'): WebhookError {
  return new WebhookError('NOT_FOUND', `${owner}: there is no ${what} '${id.slice(0, 60)}' in this scope`)
}
