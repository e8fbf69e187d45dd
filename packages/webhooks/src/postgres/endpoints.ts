import { type Ask, prepared, unit, type KnownDatabase } from '@keelson/kernel/postgres'
import { healed, HEALTHY } from '../lane.ts'
import type { EndpointRow, EndpointRows, StoredEndpoint } from '../store.ts'
import { laneColumns, readLane, withState, type KeptLane, type LaneRow } from './lane-row.ts'
import { readSecrets, writeSecrets } from '../kept-secrets.ts'
import { writeStatement } from './settling.ts'
import { fromText, toText } from './text.ts'

/** An endpoint with its lane. */
interface Row extends LaneRow {
  readonly scope: string
  readonly id: string
  readonly config: string
  readonly secrets: string
  readonly created_ms: number
  readonly updated_ms: number
  readonly now_ms: number
}

/** Deliveries that `remove` cancels itself. */
const CANCELLED_AT_ONCE = 1_000
const COMMITTED = { isolation: 'read committed', stall: '5s' } as const

export function createEndpoints(target: KnownDatabase, schema: string, ask: Ask, wake: () => void): EndpointRows {
  const columns = `e.scope, e.id, e.config, e.secrets, e.created_ms::float8 as created_ms,
  e.updated_ms::float8 as updated_ms, ${schema}.webhook_now()::float8 as now_ms, l.lane::float8 as lane, l.class, l.state,
  l.disabled_reason, l.revision, l.scope_paused, l.held_since_ms::float8 as held_since_ms,
  l.oldest_ms::float8 as oldest_ms, l.in_flight, l.redriven, l.rate_used_ms, l.width, l.suspect, l.rules, l.health`
  const from = `from ${schema}.webhook_endpoint e join ${schema}.webhook_lane l on l.lane = e.lane`
  const sql = {
    one: `select ${columns} ${from} where e.scope = $1 and e.id = $2`,
    list: `select ${columns} ${from} where e.scope = $1 and e.id > $2 and left(e.id, 3) <> 'fn:' order by e.id limit $3`,
    // The row of the scope: one change of its endpoints at a time.
    audience: `insert into ${schema}.webhook_audience as a (scope) values ($1)
  on conflict (scope) do update set scope = excluded.scope returning paused, ${schema}.webhook_now()::float8 as now_ms`,
    count: `select count(*) filter (where left(id, 3) <> 'fn:')::integer as endpoints,
  coalesce(bool_or(id = $2), false) as known from ${schema}.webhook_endpoint where scope = $1`,
    insert: `with made as (
  insert into ${schema}.webhook_lane (class, concurrency, width, capacity, again_capacity, rate_step_ms, rate_burst_ms, lease_ms, state,
    disabled_reason, scope_paused, held_since_ms, oldest_ms, rules, health)
  select v.class, v.concurrency, v.width, v.capacity, v.again_capacity, v.rate_step_ms, v.rate_burst_ms, v.lease_ms, v.state, v.disabled_reason,
    $3::boolean, v.held_since_ms, v.oldest_ms, v.rules, v.health
  from json_to_record($4::text::json) as v(class text, concurrency integer, width integer, capacity integer, again_capacity integer, rate_step_ms float8,
    rate_burst_ms float8, lease_ms bigint, state text, disabled_reason text, held_since_ms bigint, oldest_ms bigint,
    rules text, health text)
  returning lane)
insert into ${schema}.webhook_endpoint (scope, id, lane, config, secrets, created_ms, updated_ms)
select $1, $2, made.lane, $5, $6, $7::float8::bigint, $7::float8::bigint from made`,
    revise: `update ${schema}.webhook_audience set revision = revision + 1 where scope = $1`,
    update: `update ${schema}.webhook_endpoint set config = $3, secrets = $4, updated_ms = $5::float8::bigint
where scope = $1 and id = $2`,
    remove: `select ${schema}.webhook_remove($1, $2, $3) as removed`,
  }

  return {
    async insert(row, max) {
      return unit<StoredEndpoint | 'limit'>(target, {
        ...COMMITTED,
        open: [prepared(sql.audience, [row.scope]), prepared(sql.count, [row.scope, row.id])],
        async work(_, [audience, count]) {
          const { paused, now_ms: nowMs } = audience!.rows[0] as { paused: boolean; now_ms: number }
          const { endpoints, known } = count!.rows[0] as { endpoints: number; known: boolean }
          const isHandler = row.id.startsWith('fn:')
          if (known || (!isHandler && endpoints >= max)) return { end: 'rollback', value: 'limit' }
          const heldSinceMs = row.state === 'active' && !paused ? null : nowMs
          const lane = laneColumns({
            lane: 0,
            handler: isHandler ? row.id : null,
            state: row.state,
            disabledReason: toText(row.disabledReason),
            revision: 1,
            scopePaused: paused,
            heldSinceMs,
            oldestMs: heldSinceMs,
            rules: row.rules,
            health: HEALTHY,
          })
          const values = [row.scope, row.id, paused, JSON.stringify(lane), row.config, writeSecrets(row.secrets), nowMs]
          return {
            end: 'commit',
            statements: [prepared(sql.insert, values), ...(isHandler ? [] : [prepared(sql.revise, [row.scope])])],
            value: { ...row, revision: 1, createdAtMs: nowMs, updatedAtMs: nowMs, health: HEALTHY },
          }
        },
      })
    },

    async get(scope, id) {
      const [row] = await ask<Row>(prepared(sql.one, [scope, id]))
      return row === undefined ? null : readEndpoint(row)
    },

    async list(scope, { after = '', limit }) {
      return (await ask<Row>(prepared(sql.list, [scope, after, limit]))).map(readEndpoint)
    },

    async put(row, revision, heal) {
      const stored = await unit<StoredEndpoint | 'conflict' | null>(target, {
        ...COMMITTED,
        open: [prepared(sql.audience, [row.scope]), prepared(`${sql.one} for update of l`, [row.scope, row.id])],
        async work(_, [, found]) {
          const [known] = found!.rows as Row[]
          if (known === undefined) return { end: 'rollback', value: null }
          if (known.revision !== revision) return { end: 'rollback', value: 'conflict' }
          const nowMs = known.now_ms
          const before = readLane(known)
          const lane: KeptLane = {
            ...withState(before, row.state, nowMs),
            disabledReason: toText(row.disabledReason),
            revision: revision + 1,
            rules: row.rules,
            health: heal ? healed(before.health) : before.health,
          }
          const values = [row.scope, row.id, row.config, writeSecrets(row.secrets), nowMs]
          return {
            end: 'commit',
            statements: [
              prepared(sql.update, values),
              writeStatement(schema, [laneColumns(lane)]),
              ...(known.config === row.config ? [] : [prepared(sql.revise, [row.scope])]),
            ],
            value: {
              ...row,
              revision: revision + 1,
              createdAtMs: known.created_ms,
              updatedAtMs: nowMs,
              health: lane.health,
            },
          }
        },
      })
      wake()
      return stored
    },

    async remove(scope, id) {
      const [row] = await ask<{ removed: boolean }>(prepared(sql.remove, [scope, id, CANCELLED_AT_ONCE]))
      return row!.removed
    },
  }
}

function readEndpoint(row: Row): StoredEndpoint {
  const lane = readLane(row)
  const rest: EndpointRow = {
    scope: row.scope,
    id: row.id,
    state: lane.state,
    disabledReason: fromText(lane.disabledReason),
    config: row.config,
    secrets: readSecrets(row.secrets),
    rules: lane.rules,
  }
  const { created_ms: createdAtMs, updated_ms: updatedAtMs } = row
  return { ...rest, revision: lane.revision, createdAtMs, updatedAtMs, health: lane.health }
}
