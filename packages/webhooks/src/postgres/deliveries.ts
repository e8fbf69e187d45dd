import { type Ask, prepared } from '@keelson/kernel/postgres'
import type { LaneHealth } from '../lane.ts'
import type { AttemptRow, DeliveryRow, DeliveryRows, StoredAttempt } from '../store.ts'
import { fromText } from './text.ts'

/** A delivery as it is read; without a lane, its endpoint is gone. */
interface Row {
  readonly id: string
  readonly scope: string
  readonly event: string
  readonly type: string
  readonly endpoint: string
  readonly status: DeliveryRow['status']
  readonly reason: DeliveryRow['reason']
  readonly attempts: number
  readonly waits: boolean
  readonly due_ms: number
  readonly created_ms: number
  readonly finished_ms: number | null
  readonly state: 'active' | 'paused' | 'disabled' | null
  readonly scope_paused: boolean | null
  readonly health: string | null
  readonly now_ms: number
}

/** What the sweep has still to cancel is cancelled. */
const LEFT = '(l.removed_ms is not null and d.finished_ms is null)'

export function createDeliveries(schema: string, ask: Ask, wake: () => void): DeliveryRows {
  const leased = `exists (select from ${schema}.webhook_lease e where e.scope = d.scope and e.id = d.id)`
  const columns = `d.id, d.scope, d.event, d.type, d.endpoint, case when ${LEFT} then 'cancelled'
    when d.finished_ms is not null then coalesce(d.failed, 'succeeded')
    when ${leased} then 'delivering' else 'pending' end as status,
  d.reason, d.attempts, d.waits, d.due_ms::float8 as due_ms, d.created_ms::float8 as created_ms,
  (case when ${LEFT} then l.removed_ms else d.finished_ms end)::float8 as finished_ms, l.state, l.scope_paused, l.health,
  ${schema}.webhook_now()::float8 as now_ms`
  const from = `from ${schema}.webhook_delivery d left join ${schema}.webhook_lane l on l.lane = d.lane`
  const isStatus = {
    pending: `d.finished_ms is null and not ${leased}`,
    delivering: leased,
    succeeded: 'd.finished_ms is not null and d.failed is null',
    dead: "d.failed = 'dead'",
  }
  const sql = {
    one: `select ${columns} ${from} where d.scope = $1 and d.id = $2`,
    attempts: `select d.id, a.fence::text as fence, a.number, a.at_ms::float8 as at_ms, a.duration_ms, a.outcome, a.status,
  a.remote_address, a.response, a.error
from ${schema}.webhook_delivery d
left join ${schema}.webhook_attempt a on a.scope = d.scope and a.delivery = d.id and a.fence > $3::float8::bigint
where d.scope = $1 and d.id = $2 order by a.fence limit $4`,
    retriable: `select ${columns}, e.erased or l.lane is null or l.removed_ms is not null as stays ${from}
join ${schema}.webhook_event e on e.scope = d.scope and e.id = d.event where d.scope = $1 and d.id = $2`,
    reopen: `select ${schema}.webhook_reopen(json_build_array(json_build_object('n', 0, 's', $1::text, 'd', $2::text)), false)`,
    cancel: `select ${schema}.webhook_cancel($1, $2, $3, $4) as cancelled`,
    startRedrive: `insert into ${schema}.webhook_redrive
  (id, scope, endpoint, from_ms, to_ms, status, per_second, started_ms)
values ($1, $2, $3, $4::float8, $5::float8, $6, $7, ${schema}.webhook_now())
on conflict (id) do nothing`,
    redriveStatus: `select state, moved::float8 as moved from ${schema}.webhook_redrive where scope = $1 and id = $2`,
    redriveStep: `select ${schema}.webhook_redrive_step($1) as moved`,
  }

  async function one(scope: string, id: string): Promise<DeliveryRow | null> {
    const [row] = await ask<Row>(prepared(sql.one, [scope, id]))
    return row === undefined ? null : readDelivery(row)
  }

  return {
    get: one,

    async list({ scope, endpoint, event, type, status, fromMs, toMs }, { after, limit }) {
      const values: unknown[] = [scope, limit + 1]
      const where = ['d.scope = $1']
      const and = (value: unknown, condition: (parameter: string) => string): void => {
        if (value === undefined) return
        values.push(value)
        where.push(condition(`$${values.length}`))
      }
      and(after, (p) => `d.id < ${p}`)
      and(endpoint, (p) => `d.endpoint = ${p}`)
      and(event, (p) => `d.event = ${p}`)
      and(type, (p) => `d.type = ${p}`)
      and(fromMs, (p) => `d.created_ms >= ${p}::float8`)
      and(toMs, (p) => `d.created_ms < ${p}::float8`)
      if (status === 'cancelled') where.push(`(d.failed = 'cancelled' or ${LEFT})`)
      else if (status !== undefined) where.push(isStatus[status], `not coalesce(${LEFT}, false)`)
      const text = `select ${columns} ${from} where ${where.join(' and ')} order by d.id desc limit $2`
      const rows = (await ask<Row>(prepared(text, values))).map(readDelivery)
      return { rows: rows.slice(0, limit), next: rows.length > limit ? rows[limit - 1]!.id : null }
    },

    async attempts(scope, id, { after = 0, limit }) {
      const rows = await ask<AttemptColumns>(prepared(sql.attempts, [scope, id, after, limit]))
      return rows.length === 0 ? null : rows.flatMap(readAttempt)
    },

    async retry(scope, id) {
      const [row] = await ask<Row & { stays: boolean }>(prepared(sql.retriable, [scope, id]))
      if (row === undefined || row.stays) return null
      await ask(prepared(sql.reopen, [scope, id]))
      wake()
      return one(scope, id)
    },

    async cancel(
      { scope, id = null, endpoint = null }: { scope: string; id?: string | null; endpoint?: string | null },
      limit,
    ) {
      const [row] = await ask<{ cancelled: number }>(prepared(sql.cancel, [scope, id, endpoint, limit]))
      return row!.cancelled
    },

    async startRedrive({
      id,
      scope,
      endpoint = null,
      fromMs = null,
      toMs = null,
      status,
      perSecond,
    }: {
      id: string
      scope: string
      endpoint?: string | null
      fromMs?: number | null
      toMs?: number | null
      status: string
      perSecond: number
    }) {
      await ask(prepared(sql.startRedrive, [id, scope, endpoint, fromMs, toMs, status, perSecond]))
    },

    async redriveStatus(scope, id) {
      const [row] = await ask<{ state: 'running' | 'done'; moved: number }>(prepared(sql.redriveStatus, [scope, id]))
      return row === undefined ? null : { state: row.state, moved: row.moved }
    },

    async redriveStep(limit) {
      const [row] = await ask<{ moved: number }>(prepared(sql.redriveStep, [limit]))
      if (row!.moved > 0) wake()
      return row!.moved
    },
  }
}

function readDelivery(row: Row): DeliveryRow {
  const { id, scope, event, type, endpoint, status, reason, attempts } = row
  return {
    id,
    scope,
    event,
    type,
    endpoint,
    status,
    reason,
    held: heldOf(row),
    attempts,
    nextAttemptAtMs: status === 'pending' && !row.waits ? row.due_ms : null,
    createdAtMs: row.created_ms,
    finishedAtMs: row.finished_ms,
  }
}

function heldOf({ status, state, scope_paused, health, now_ms }: Row): DeliveryRow['held'] {
  if (status !== 'pending' || health === null) return null
  const { openUntilMs, blockedBy, blockedUntilMs } = JSON.parse(health) as LaneHealth
  if (blockedBy === 'key' && (blockedUntilMs ?? 0) > now_ms) return 'key'
  if (state === 'disabled') return 'disabled'
  if (state === 'paused' || scope_paused) return 'paused'
  return openUntilMs === null ? null : 'breaker'
}

interface AttemptColumns {
  /** Null: there is none. */
  readonly fence: string | null
  readonly number: number
  readonly at_ms: number
  readonly duration_ms: number
  readonly outcome: AttemptRow['outcome']
  readonly status: number | null
  readonly remote_address: string | null
  readonly response: string | null
  readonly error: string | null
}

function readAttempt(row: AttemptColumns): StoredAttempt[] {
  if (row.fence === null) return []
  return [
    {
      fence: Number(row.fence),
      number: row.number,
      atMs: row.at_ms,
      durationMs: row.duration_ms,
      outcome: row.outcome,
      status: row.status,
      remoteAddress: row.remote_address,
      response: fromText(row.response),
      error: fromText(row.error),
    },
  ]
}
